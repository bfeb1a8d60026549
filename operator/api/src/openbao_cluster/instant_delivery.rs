//! Instant delivery: relays beside the nodes report which values were written.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::LocalReference;

/// Relay in each pod of a managed cluster, which receives the audit entries of its node and tells the operator which paths of
/// KV engines were written, without values. Objects that read these paths are synced at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstantDelivery {
    /// `true` adds a container `relay` and an audit device for it to each node, in a rollout. The relay counts as an audit
    /// device that works: OpenBao also answers requests that only the relay received. Default: `false`.
    #[serde(default)]
    pub enabled: bool,
    /// Image of Steamer in the pods: of the relay, of the rotation of audit logs (`audit[].file.volume`), and of restore drills.
    /// Also used with `enabled: false`. Default: the image of the operator. An upgrade of the operator does not replace the
    /// pods: they get its image with the next rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
}

/// Relays beside the nodes of an existing server: processes `steamer relay`, to which an audit device of type `http` of each
/// node sends its entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalRelays {
    /// URLs of the relays, one for each node, such as `https://openbao-0.openbao-internal.openbao.svc:9104`. Their
    /// certificates are verified with the CA of the server.
    #[schemars(length(min = 1, max = 8), inner(length(max = 512)))]
    #[x_kube(validation = crate::rules::ADDRESSES)]
    pub relays: Vec<String>,
    /// Secret with the key `token`: the token of the relays' `--token-file`.
    pub token_secret_ref: LocalReference,
}
