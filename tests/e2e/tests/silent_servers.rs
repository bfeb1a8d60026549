//! Servers that accept connections and never answer affect only the objects that use them.

use std::collections::BTreeMap;
use std::net::TcpListener;

use anyhow::Result;
use serde_json::json;
use steamer_api::{BaoConnection, BaoStaticSecret};
use steamer_testing::wait::eventually;

use crate::rig::Rig;
use crate::static_secrets::{auth, engine};

const SILENT: usize = 32;
const HEALTHY: usize = 300;
const PATHS: usize = 10;
/// Refreshes of each path that the test counts.
const REFRESHES: usize = 4;

/// Creates a connection, a login and a BaoStaticSecret of a server that never answers.
async fn silent(rig: &Rig, number: usize) -> Result<TcpListener> {
    // The kernel completes the handshake of TCP, and no process reads the connection.
    let server = TcpListener::bind("127.0.0.1:0")?;
    let (case, name) = (&rig.case, format!("silent{number}"));
    let address = format!("https://{}", server.local_addr()?);
    case.object("BaoConnection", &name, json!({"address": address, "timeout": "60s"})).await?;
    let mut login = auth("silent-servers");
    login["connectionRef"] = json!({"name": name});
    login.as_object_mut().map(|spec| spec.remove("clusterRef"));
    case.object("BaoAuth", &name, login).await?;
    let spec = json!({
        "authRef": {"name": name}, "mount": "silent-servers", "path": "p0", "type": "kv-v2", "refreshAfter": "1s",
        "destination": {"name": name, "create": true},
    });
    case.object("BaoStaticSecret", &name, spec).await?;
    Ok(server)
}

async fn healthy(rig: &Rig) -> Result<()> {
    let case = &rig.case;
    engine(case, "silent-servers").await?;
    case.object("BaoAuth", "default", auth("silent-servers")).await?;
    for path in 0..PATHS {
        case.admin()?.write_kv2("silent-servers", &format!("p{path}"), &json!({"a": "1"})).await?;
    }
    for number in 0..HEALTHY {
        let spec = json!({
            "mount": "silent-servers", "path": format!("p{}", number % PATHS), "type": "kv-v2", "refreshAfter": "10s",
            "destination": {"name": format!("s{number}"), "create": true},
        });
        case.object("BaoStaticSecret", &format!("s{number}"), spec).await?;
    }
    Ok(())
}

fn reads(rig: &Rig) -> BTreeMap<String, usize> {
    rig.openbao.count(|asked| asked.path.contains("silent-servers/data").then(|| asked.path.clone()))
}

#[tokio::test]
async fn thirty_two_silent_servers_do_not_delay_the_refreshes_of_three_hundred_objects() -> Result<()> {
    let mut rig = Rig::new("silent-servers").await?;
    let mut servers = Vec::new();
    for number in 0..SILENT {
        servers.push(silent(&rig, number).await?);
    }
    healthy(&rig).await?;
    rig.start().await?;
    // Objects of every path are refreshed again and again, while each silent server holds a request.
    eventually("every path is refreshed", || async {
        let reads = reads(&rig);
        let all = reads.len() == PATHS && reads.values().all(|count| *count >= REFRESHES);
        if all { Ok(()) } else { Err(format!("{reads:?}")) }
    })
    .await?;
    let reads = reads(&rig);
    println!("reads beside {SILENT} silent servers: {reads:?}");
    let (least, most) = (reads.values().min(), reads.values().max());
    assert!(most.zip(least).is_some_and(|(most, least)| most <= &(least + REFRESHES)), "{reads:?}");
    for number in 0..HEALTHY {
        rig.case.ready::<BaoStaticSecret>(&format!("s{number}"), "True/Applied").await?;
    }
    rig.case.ready::<BaoConnection>("silent0", "False/Unreachable").await?;
    // A new object is synchronized at once.
    let spec = json!({
        "mount": "silent-servers", "path": "p0", "type": "kv-v2", "destination": {"name": "new", "create": true},
    });
    rig.case.object("BaoStaticSecret", "new", spec).await?;
    rig.case.ready::<BaoStaticSecret>("new", "True/Applied").await?;
    drop(servers);
    Ok(())
}
