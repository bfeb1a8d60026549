//! Rotation of the keys of an issuer, and an unreachable issuer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use steamer_api::JWTIssuer;
use steamer_testing::issuer::{JwtIssuer, pipeline_claims};
use steamer_testing::ports;
use steamer_testing::wait::eventually;
use tokio::net::TcpListener;

use crate::fixture::Case;
use crate::tenancy::AUDIENCE;

#[tokio::test]
async fn jobs_can_log_in_throughout_a_key_rotation() -> Result<()> {
    let case = Arc::new(Case::new("rotation").await?);
    let issuer = case.ground.at_home(async { JwtIssuer::start().await }).await?;
    case.follow(&issuer).await?;
    let namespace = case.project_of_issuer(1301).await?;
    // Number of the key with which the issuer currently signs.
    let (current, logins) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicUsize::new(0)));
    let jobs = {
        let (case, issuer, current, logins) = (case.clone(), issuer.clone(), current.clone(), logins.clone());
        let namespace = namespace.clone();
        async move {
            loop {
                let key = format!("key-{}", current.load(Ordering::SeqCst));
                let jwt = issuer.sign(&key, &pipeline_claims(&issuer.url, AUDIENCE))?;
                case.login(&namespace, "all_pipelines", &jwt).await.with_context(|| format!("with {key}"))?;
                logins.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let some_more = async || {
        let start = logins.load(Ordering::SeqCst);
        eventually("jobs log in", || async {
            let now = logins.load(Ordering::SeqCst);
            if now >= start + 20 { Ok(()) } else { Err(now) }
        })
        .await
    };
    let rotation = async {
        for next in 2..=4 {
            some_more().await?;
            issuer.add_key(&format!("key-{next}"))?;
            some_more().await?;
            current.store(next, Ordering::SeqCst);
            some_more().await?;
            let old = format!("key-{}", next - 1);
            let jwt = issuer.sign(&old, &pipeline_claims(&issuer.url, AUDIENCE))?;
            ensure!(
                case.login(&namespace, "all_pipelines", &jwt).await.is_ok(),
                "{old} is still valid during the overlap"
            );
            issuer.withdraw_key(&old);
            eventually(&format!("{old} is rejected"), || async {
                match case.login(&namespace, "all_pipelines", &jwt).await {
                    Err(_) => Ok(()),
                    Ok(_) => Err("login succeeded"),
                }
            })
            .await?;
        }
        some_more().await
    };
    tokio::select! {
        ended = tokio::spawn(jobs) => { let ended: Result<()> = ended?; ended }
        ended = rotation => ended,
    }
}

#[tokio::test]
async fn an_unreachable_issuer_does_not_delay_a_project() -> Result<()> {
    let case = Case::new("rotation-down").await?;
    let port = ports::free()?;
    let issuer = JwtIssuer::at(format!("http://127.0.0.1:{port}"))?;
    case.follow(&issuer).await?;
    let namespace = case.project_of_issuer(1302).await?;
    case.values(&namespace, &["A"]).await?;
    case.policy("all", json!({"secrets": [{"name": "A"}]})).await?;
    // Logins fail while there are no keys, and succeed once there are, without another reconcile.
    let jwt = issuer.sign("key-1", &pipeline_claims(&issuer.url, AUDIENCE))?;
    ensure!(case.login(&namespace, "all_pipelines", &jwt).await.is_err());
    let served = issuer.clone();
    case.ground
        .at_home(async move {
            let listener = TcpListener::bind(("127.0.0.1", port)).await?;
            tokio::spawn(served.serve(listener));
            Ok(())
        })
        .await?;
    eventually("a job logs in", || async {
        let session =
            case.login(&namespace, "all_pipelines", &jwt).await.map_err(|error| error.to_string())?;
        let readable =
            crate::tenancy::readable_with(&session, &["A"]).await.map_err(|error| error.to_string())?;
        if readable == ["A"] { Ok(()) } else { Err(format!("{readable:?}")) }
    })
    .await
}

#[tokio::test]
async fn a_withdrawn_key_is_rejected_although_another_key_has_its_id() -> Result<()> {
    let case = Case::new("rotation-twins").await?;
    let issuer = case.ground.at_home(async { JwtIssuer::start().await }).await?;
    issuer.add_key_as("twin", "key-1")?;
    case.follow(&issuer).await?;
    let namespace = case.project_of_issuer(1303).await?;
    let claims = pipeline_claims(&issuer.url, AUDIENCE);
    let (first, twin) = (issuer.sign("key-1", &claims)?, issuer.sign_as("twin", "key-1", &claims)?);
    for jwt in [&first, &twin] {
        case.login(&namespace, "all_pipelines", jwt).await?;
    }
    issuer.withdraw_key("key-1");
    eventually("the withdrawn key is rejected", || async {
        match case.login(&namespace, "all_pipelines", &first).await {
            Err(_) => Ok(()),
            Ok(_) => Err("login succeeded"),
        }
    })
    .await?;
    case.login(&namespace, "all_pipelines", &twin).await?;
    Ok(())
}

#[tokio::test]
async fn keys_that_openbao_cannot_read_are_reported_by_the_issuer() -> Result<()> {
    let case = Case::new("rotation-pem").await?;
    let right = JwtIssuer::at("https://gitlab.example.com".to_owned())?.public_pem("key-1")?;
    let lines: Vec<&str> = right.lines().collect();
    let end = lines.len() - 1;
    let wrong = [
        ("junk", [lines[0], "junkjunkjunk", lines[end]].join("\n")),
        ("cut", lines[..end].join("\n")),
        ("shortened", [&lines[..end - 1], &lines[end..]].concat().join("\n")),
        ("twice", format!("{right}{right}")),
    ];
    let spec = |pem: &str| json!({"publicKeys": [pem], "boundIssuer": "https://gitlab.example.com"});
    for (name, pem) in &wrong {
        case.object("JWTIssuer", name, spec(pem)).await?;
        case.ready::<JWTIssuer>(name, "False/Invalid: publicKeys[0] is not one public key").await?;
    }
    case.object("JWTIssuer", wrong[0].0, spec(&right)).await?;
    case.ready::<JWTIssuer>(wrong[0].0, "True/Applied").await.map(drop)
}
