//! Command line of the plugin.

use clap::{Parser, Subcommand};

use crate::annotations::{Fence, Nodes};
use crate::break_glass::BreakGlass;
use crate::check::Check;
use crate::ci::Ci;
use crate::completion::{Completion, Words};
use crate::convert::Convert;
use crate::explain::Explain;
use crate::import::Import;
use crate::login::{Bao, Login};
use crate::report::Report;
use crate::restore_drill::RestoreDrill;
use crate::seal_rotation::RotateSeal;
use crate::status::Status;
use crate::suspension::Suspension;
use crate::sync::Sync;
use crate::tail::Tail;
use crate::version::Version;

/// Inspects and operates Steamer, the operator for OpenBao, with your own permissions in Kubernetes.
///
/// Exit codes: 0, success; 1, the input is wrong or a request was refused; 3, an object is not Ready. `convert` and `import`
/// have exit codes of their own.
#[derive(Parser)]
#[command(name = "kubectl-steamer", bin_name = "kubectl steamer", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Shows the clusters, the number of objects of each kind, and every object that is not Ready, with the reason.
    ///
    /// Exit code 3: an object is not Ready.
    Status(Status),
    /// Explains whether the JWT of a CI job can log in, which claims fail, and which secrets the job can read.
    ///
    /// Reads the JWT from the standard input or from --token-file, never from an argument: other users of the machine can read
    /// arguments. The output contains claims, but neither the JWT nor the value of a secret.
    ///
    /// Exit codes: 0, the job can log in; 1, it cannot, or the input is wrong.
    Explain(Box<Explain>),
    /// Checks the installation: CustomResourceDefinitions, operator, permissions, TokenReview and versions.
    ///
    /// Exit codes: 0, everything is in order, or there are only warnings; 1, the API server does not answer; 3, a check failed.
    Check(Check),
    /// Prints a `.gitlab-ci.yml` for a project.
    ///
    /// The job logs in with an ID token, as the role `id_tokens`. `explain` shows which of its secrets a job can read.
    Ci(Ci),
    /// Reconciles objects now.
    Sync(Sync),
    /// Suspends objects: Steamer changes nothing for them.
    Suspend(Suspension),
    /// Resumes suspended objects.
    Resume(Suspension),
    /// Restarts the nodes of a managed cluster, one after the other.
    Restart(Nodes),
    /// Moves the leadership of a managed cluster to another node.
    StepDown(Nodes),
    /// Fences a node of a managed cluster until it is released: it can no longer write.
    Fence(Fence),
    /// Releases the fenced node of a managed cluster.
    Unfence(Nodes),
    /// Opens `generate-root` of a managed cluster for 15 minutes, for a root token from the recovery keys.
    ///
    /// Only users who can forward ports of the pod, and who have enough recovery keys, get a root token.
    BreakGlass(BreakGlass),
    /// Prints the environment of `bao` for an administrator of a cluster: address, CA certificate and token.
    ///
    /// Prints the variables of the command `bao` for a shell: `eval "$(kubectl steamer login main)"`. You need the right to create
    /// tokens of the ServiceAccount of an administrator, and to forward ports. The output contains a token of OpenBao. The port is
    /// forwarded until you run `kill $STEAMER_FORWARD`.
    Login(Login),
    /// Runs `bao` as an administrator of a cluster.
    ///
    /// Runs a command of bao, such as `kubectl steamer bao main -- kv list secret`. You need the right to create tokens of the
    /// ServiceAccount of an administrator, and to forward ports. Programs `bao` and `kubectl` must be in PATH.
    Bao(Bao),
    /// Shows the audit entries of a managed cluster, or those of a project.
    ///
    /// Reads the logs of the pods, so the cluster needs an audit device of type `file` with the path `stdout`. Shows who requested what
    /// and when, and no parameter or value of a request. You need the right to read the logs of the pods.
    Tail(Tail),
    /// Replaces the key of a static seal.
    ///
    /// You need the rights to get and patch the Secret of the seal. The old key stays in the Secret: remove it when no backup
    /// needs it any more.
    RotateSeal(RotateSeal),
    /// Tests the restored copy of the database of a managed cluster now.
    ///
    /// The cluster must have `restoreDrill`, and your backup tool must have restored the copy. Shows the duration of the test, and
    /// the age of the data in the copy.
    ///
    /// Exit codes: 0, OpenBao opened the copy; 1, the input is wrong or a request was refused; 3, it did not, or the time to wait is
    /// over.
    RestoreDrill(RestoreDrill),
    /// Writes a file for a bug report: objects, Events and logs, without values.
    ///
    /// The report contains the objects of Steamer with their statuses, Events, the versions, and the last lines of the operator's
    /// logs. It contains no Secret, and no field that can contain a value: these are replaced by `(redacted)`. It contains names,
    /// addresses and messages: read it before you publish it.
    Report(Report),
    /// Converts objects of Vault Secrets Operator and External Secrets Operator to objects of Steamer. Writes the objects to
    /// the standard output, and what has no counterpart to the standard error output.
    ///
    /// Exit codes: 0, everything is converted; 1, converted, and the report has findings to review; 2, the input cannot be
    /// read.
    Convert(Box<Convert>),
    /// Reads the resources of a running OpenBao or Vault, or of a Terraform state, and writes objects that adopt them. Writes the
    /// objects to the standard output, and what is not imported to the standard error output. Reads no values of secrets.
    ///
    /// Exit codes: 0, everything is imported; 1, imported, and the report has findings to review; 2, the input cannot be read.
    ///
    /// The server, its CA, a client certificate and the token are those of the command `bao`: BAO_ADDR, BAO_CACERT,
    /// BAO_CLIENT_CERT, BAO_CLIENT_KEY, BAO_TLS_SERVER_NAME, BAO_SKIP_VERIFY, BAO_TOKEN or ~/.vault-token, and the same names
    /// with VAULT.
    Import(Box<Import>),
    /// Prints the version of the plugin, and those of the operator and of the OpenBao servers.
    Version(Version),
    /// Prints a script that completes the commands in a shell.
    ///
    /// `kubectl steamer <TAB>` is completed by `kubectl completion`, with the executable file `kubectl_complete-steamer` in PATH:
    /// write the output of `completion kubectl` to it. The other scripts complete the command `kubectl-steamer`.
    Completion(Completion),
    /// Completes the last word of a command line, for kubectl.
    #[command(hide = true)]
    CompleteWords(Words),
}
