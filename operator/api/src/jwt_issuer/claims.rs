//! Claims of the tokens of an issuer.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kind of issuer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IssuerProfile {
    /// GitLab: subjects `project_path:...` and `user:...`, claim `secrets_manager_scope`, claims `project_id`,
    /// `project_group_ids`, `environment`, `ref`, `ref_type`, `pipeline_source`.
    #[default]
    GitLab,
    /// Gitea and Forgejo Actions: subject `repo:...`, claims `repository_id`, `repository_owner_id`, `ref`
    /// (`refs/heads/...`), `event_name`.
    Gitea,
    /// GitHub Actions: the claims of `Gitea`, and `environment`.
    GitHub,
    /// ServiceAccount tokens of a Kubernetes cluster: subject `system:serviceaccount:<namespace>:<name>`. Only in
    /// `additionalIssuers` with `subjects`.
    Kubernetes,
    /// GitLab CustomersDot: the subject is the ID of an instance, claim `scopes`. Only in `additionalIssuers` with
    /// `subjects`.
    CustomersDot,
    /// Any other issuer: `claims` names the claims.
    Generic,
}

/// Beginnings of the `sub` claim that distinguish the kinds of tokens of an issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!(has(self.pipeline) && has(self.user)) || !(self.pipeline.startsWith(self.user) || self.user.startsWith(self.pipeline))", "subjectPrefixes.pipeline and subjectPrefixes.user must not be the beginning of each other: otherwise the token of a job could be used as that of a user"))]
pub struct SubjectPrefixes {
    /// Subject of the tokens of CI jobs. Default: `project_path:` for GitLab, `repo:` for Gitea and GitHub,
    /// `system:serviceaccount:` for Kubernetes; any subject for CustomersDot and Generic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = PREFIX))]
    pub pipeline: Option<String>,
    /// Subject of the tokens of users. Default: `user:` for GitLab. Without it, users cannot log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = PREFIX))]
    pub user: Option<String>,
    /// Subject of the privileged tokens with which the issuer itself manages OpenBao. Every login of a project rejects them.
    /// Default: `gitlab_secrets_manager` for GitLab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = PREFIX))]
    pub privileged: Option<String>,
}

impl SubjectPrefixes {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Characters of a subject.
const PREFIX: &str = r"^[A-Za-z0-9_.:/@|-]+$";

/// Characters of the name of a claim.
const NAME: &str = r"^[A-Za-z0-9_.:/@-]+$";

/// Names of the claims of a profile `Generic`. A condition on a claim without a name matches no job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimNames {
    /// ID of the project, as a number or text. Required for an issuer whose jobs are identified by `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = NAME))]
    pub project: Option<String>,
    /// ID, or list of IDs, of the groups that contain the project. Required for `scope: Group`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = NAME))]
    pub groups: Option<String>,
    /// Environment of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = NAME))]
    pub environment: Option<String>,
    /// Branch of the job, without `refs/heads/`. The issuer must omit it for tags and merge requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = NAME))]
    pub branch: Option<String>,
    /// `true` if the ref of the job is protected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = NAME))]
    pub ref_protected: Option<String>,
    /// Event that started the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = NAME))]
    pub source: Option<String>,
    /// ID of the user who started the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = NAME))]
    pub user: Option<String>,
    /// ID of the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = NAME))]
    pub pipeline: Option<String>,
}
