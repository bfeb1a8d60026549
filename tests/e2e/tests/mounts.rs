//! Mounts that are recreated: their values are not deleted values, also after a restart of the operator.

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use reqwest::Method;
use serde_json::json;
use steamer_api::BaoStaticSecret;
use steamer_testing::openbao::mount_kv;

use crate::fixture::ready_of;
use crate::openbao_outage::gone;
use crate::rig::Rig;
use crate::static_secrets::{auth, engine};

/// Creates objects with a token and with inline logins.
async fn objects(rig: &Rig) -> Result<[&'static str; 2]> {
    let case = &rig.case;
    engine(case, "recreated").await?;
    case.admin()?.write_kv2("recreated", "app", &json!({"v": "1"})).await?;
    for (name, inline) in [("token", "Never"), ("inline", "Always")] {
        let mut login = auth("recreated");
        login["inline"] = json!(inline);
        case.object("BaoAuth", name, login).await?;
        let spec = json!({
            "authRef": {"name": name}, "mount": "recreated", "path": "app", "type": "kv-v2", "refreshAfter": "1s",
            "onSourceDeleted": "Delete", "destination": {"name": name, "create": true},
        });
        case.object("BaoStaticSecret", name, spec).await?;
    }
    Ok(["token", "inline"])
}

#[tokio::test]
async fn a_recreated_mount_is_recognized_after_a_restart_and_accepted_on_request() -> Result<()> {
    let mut rig = Rig::new("recreated").await?;
    let names = objects(&rig).await?;
    rig.start().await?;
    for name in names {
        let object = rig.case.ready::<BaoStaticSecret>(name, "True/Applied").await?;
        assert!(object.status.and_then(|status| status.mount_id).is_some(), "{name}");
    }
    rig.kill().await?;
    let admin = rig.case.admin()?;
    admin.request_any(Method::DELETE, "sys/mounts/recreated", None).await?;
    mount_kv(&admin, "recreated").await?;
    rig.start().await?;

    let secrets: Api<Secret> = rig.case.api();
    let objects: Api<BaoStaticSecret> = rig.case.api();
    for name in names {
        let object = rig.case.ready::<BaoStaticSecret>(name, "False/MountChanged").await?;
        assert_eq!(secrets.get(name).await?.data.unwrap_or_default()["v"].0, b"1");
        // The message contains the command that accepts the mount.
        let message = ready_of(&serde_json::to_value(&object)?);
        let id = message.split("steamer.dev/accept-mount=").nth(1).and_then(|rest| rest.split(' ').next());
        let id = id.unwrap_or_default();
        assert!(!id.is_empty() && message.contains(&format!("steamer.dev/reconcile={id}")), "{message}");
        let annotations = json!({"steamer.dev/accept-mount": id, "steamer.dev/reconcile": id});
        let patch = json!({"metadata": {"annotations": annotations}});
        objects.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        rig.case.ready::<BaoStaticSecret>(name, "False/SourceMissing").await?;
        gone(&secrets, name).await?;
    }
    admin.write_kv2("recreated", "app", &json!({"v": "2"})).await?;
    for name in names {
        rig.case.ready::<BaoStaticSecret>(name, "True/Applied").await?;
        assert_eq!(secrets.get(name).await?.data.unwrap_or_default()["v"].0, b"2");
    }
    Ok(())
}
