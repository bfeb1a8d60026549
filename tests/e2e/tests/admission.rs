//! Invalid specs are rejected at admission, with a message that says what to write instead.

use anyhow::{Context, Result};
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use steamer_api::SecretsProject;

use crate::fixture::Case;

/// Returns kind, invalid spec, and a part of the expected message.
fn mistakes() -> Vec<(&'static str, Value, &'static str)> {
    let tenant = |changes: Value| {
        merged(
            json!({"clusterRef": {"name": "main"}, "organizationId": 1, "groupId": 7, "issuerRef": {"name": "i"}}),
            changes,
        )
    };
    let project = |changes: Value| merged(json!({"tenantRef": {"name": "t"}, "id": 42}), changes);
    let policy =
        |changes: Value| merged(json!({"projectRef": {"name": "p"}, "secrets": [{"name": "A"}]}), changes);
    let person = |changes: Value| {
        let mut spec = json!({
            "projectRef": {"name": "p"}, "principal": {"user": {"id": 1}}, "grants": {"all": ["ReadMetadata"]},
        });
        for (field, value) in changes.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        spec
    };
    let owned = |changes: Value| merged(json!({"projectRef": {"name": "p"}, "name": "A"}), changes);
    let owned_by_generator = |generator: Value| owned(json!({"valueFrom": {"generate": generator}}));
    let secret = |changes: Value| {
        merged(
            json!({"mount": "kv", "path": "a", "type": "kv-v2", "destination": {"name": "a", "create": true}}),
            changes,
        )
    };
    let target = |target: Value| secret(json!({"rolloutRestartTargets": [target]}));
    let dynamic = |changes: Value| {
        merged(
            json!({"mount": "database", "path": "creds/a", "destination": {"name": "a", "create": true}}),
            changes,
        )
    };
    let destination = |changes: Value| {
        secret(json!({"destination": merged(json!({"name": "a", "create": true}), changes)}))
    };
    let certificate = |changes: Value| {
        merged(json!({"mount": "pki", "role": "web", "destination": {"name": "a", "create": true}}), changes)
    };
    let source = |changes: Value| {
        let source = merged(json!({"mount": "kv", "type": "kv-v2"}), changes);
        json!({"sources": [source], "destination": {"name": "a", "create": true}})
    };
    let window = |schedule: &str, duration: &str| {
        secret(json!({"syncWindows": [{"kind": "Allow", "schedule": schedule, "duration": duration}]}))
    };
    let push = |changes: Value| {
        merged(
            json!({"secretRef": {"name": "s"}, "data": [{"mount": "kv", "path": "a", "type": "kv-v2"}]}),
            changes,
        )
    };
    let labels = |labels: Value| json!({"matchLabels": labels});
    let selected = |changes: Value| {
        merged(push(json!({"secretRef": null, "selector": labels(json!({"push": "yes"}))})), changes)
    };
    let item = |changes: Value| {
        push(json!({"data": [merged(json!({"mount": "kv", "path": "a", "type": "kv-v2"}), changes)]}))
    };
    let generator = |generator: Value| item(json!({"property": "p", "generate": generator}));
    let managed = |changes: Value| {
        let server = json!({
            "version": "2.7.2", "storage": {"postgresql": {"secretRef": {"name": "db"}}}, "seal": {"static": {}},
        });
        json!({"managed": merged(server, changes)})
    };
    let audited = |file: Value| managed(json!({"audit": [{"name": "a", "description": "d", "file": file}]}));
    let scoped = |changes: Value| {
        let external = json!({"address": "https://bao", "managementAuth": {"jwt": {"audience": "a"}}});
        merged(json!({"external": external}), changes)
    };
    let listed =
        |namespaces: Value| scoped(json!({"operatorScope": "Namespaces", "operatorNamespaces": namespaces}));
    let acl = |changes: Value| {
        let rule = json!({"path": "kv/data/a", "capabilities": ["read"]});
        merged(json!({"clusterRef": {"name": "main"}, "rules": [rule]}), changes)
    };
    let rule = |changes: Value| {
        acl(json!({"rules": [merged(json!({"path": "kv/data/a", "capabilities": ["read"]}), changes)]}))
    };
    let role = |changes: Value| {
        let accounts = json!([{"name": "a", "namespace": "n"}]);
        let whole = json!({"clusterRef": {"name": "main"}, "mount": "m", "kubernetes": {"serviceAccounts": accounts}});
        merged(whole, changes)
    };
    let other_role = |changes: Value| merged(json!({"clusterRef": {"name": "main"}, "mount": "m"}), changes);
    let jwt_role = |changes: Value| {
        other_role(json!({"jwt": merged(json!({"userClaim": "sub", "boundSubject": "a"}), changes)}))
    };
    let by_cluster = |changes: Value| merged(json!({"clusterRef": {"name": "main"}}), changes);
    let group = by_cluster;
    let connection = |changes: Value| {
        let base = json!({
            "clusterRef": {"name": "main"}, "mount": "database", "plugin": "postgresql-database-plugin",
            "connectionURL": "postgresql://{{username}}:{{password}}@db/app", "rootSecretRef": {"name": "root"},
        });
        merged(base, changes)
    };
    let database_role =
        |changes: Value| merged(json!({"connectionRef": {"name": "db"}, "ownerRole": "app"}), changes);
    let fixed = |changes: Value| {
        let user = merged(json!({"username": "u", "rotationPeriod": "1h"}), changes);
        json!({"connectionRef": {"name": "db"}, "static": user})
    };
    let kubernetes = json!({"role": "r", "serviceAccount": "s", "audiences": ["openbao"]});
    let spread =
        json!({"mount": "kv", "path": "a", "type": "kv-v2", "destination": {"name": "a", "create": true}});
    let seal = |changes: Value| {
        let seal = json!({"pgpKeys": ["a"], "recoverySecretName": "shares"});
        by_cluster(json!({"seal": merged(seal, changes)}))
    };
    let key = by_cluster;
    let quota = |changes: Value| by_cluster(merged(json!({"rate": 5}), changes));
    let workload =
        |name: &str| json!({"name": "w", "serviceAccount": "s", "namespace": "n", "secrets": [name]});
    let authority = json!({"commonName": "CA", "ttl": "1h"});
    let issuer = |changes: Value| merged(by_cluster(json!({"mount": "pki", "root": authority})), changes);
    let pki_role = |changes: Value| merged(by_cluster(json!({"mount": "pki"})), changes);
    let app = by_cluster;
    let app_path = |path: &str| app(json!({"ops": {"extraPaths": [{"path": path, "verbs": ["read"]}]}}));
    let app_ci = |claims: Value| app(json!({"ci": {"audiences": ["a"], "boundClaims": claims}}));
    let app_database =
        |changes: Value| app(json!({"database": merged(json!({"connectionRef": {"name": "db"}}), changes)}));
    vec![
        ("SecretsApp", app(json!({"app": "web-ops"})), "not end with -ops"),
        ("SecretsApp", app(json!({"app": "Web"})), "app must consist of lower-case letters"),
        ("SecretsApp", app(json!({"app": "default"})), "not be root, default"),
        ("SecretsApp", app(json!({"kv": {"mount": "kv/*"}})), "must be a path of letters"),
        (
            "SecretsApp",
            app(json!({"kv": {"mount": "sys"}})),
            "nothing below auth, sys, identity and cubbyhole",
        ),
        ("SecretsApp", app(json!({"kv": {"prefix": "{{identity.entity.id}}"}})), "must be a path of letters"),
        ("SecretsApp", app(json!({"kv": {"prefix": "web+"}})), "must be a path of letters"),
        (
            "SecretsApp",
            app(json!({"runtime": {"bindings": [{"serviceAccount": "*", "namespace": "a"}]}})),
            "serviceAccount",
        ),
        ("SecretsApp", app(json!({"runtime": {"namespaces": ["*"]}})), "names of namespaces, without *"),
        (
            "SecretsApp",
            app(
                json!({"runtime": {"namespaces": ["a"], "bindings": [{"serviceAccount": "a", "namespace": "a"}]}}),
            ),
            "set bindings, or serviceAccounts and namespaces",
        ),
        ("SecretsApp", app(json!({"runtime": {"audience": "*"}})), "audience must consist of visible ASCII"),
        ("SecretsApp", app_ci(json!({})), "boundClaims"),
        ("SecretsApp", app(json!({"rolesOwner": "Repository"})), "rolesOwner: Repository requires ci"),
        ("SecretsApp", app_path("sys/policies/acl/web"), "must not contain sys, auth, identity or cubbyhole"),
        (
            "SecretsApp",
            app_path("team/sys/policies/acl/web"),
            "must not contain sys, auth, identity or cubbyhole",
        ),
        ("SecretsApp", app_path("kvv1/Auth/x"), "must not contain sys, auth, identity or cubbyhole"),
        ("SecretsApp", app_path("kvv1/cloudflare/web*"), "web* also matches webapp"),
        ("SecretsApp", app_path("kvv1/+/web"), "* is only allowed as the last segment"),
        ("SecretsApp", app_path("kvv1"), "must be a path in a secrets engine"),
        ("SecretsApp", app(json!({"ops": {"extraPolicies": ["root"]}})), "is not root"),
        (
            "SecretsApp",
            app(
                json!({"readers": [{"name": "web", "serviceAccount": "a", "namespace": "n", "prefix": "p"}]}),
            ),
            "never the name of an application",
        ),
        ("SecretsApp", app_database(json!({"ownerRole": "a; DROP"})), "must be a name in PostgreSQL"),
        (
            "SecretsApp",
            app_database(json!({"defaultTTL": "2h", "maxTTL": "1h"})),
            "must not be longer than maxTTL",
        ),
        (
            "SecretsApp",
            app_database(json!({"createOwnerRole": true, "creationStatements": ["x"]})),
            "createOwnerRole only works without creationStatements",
        ),
        ("PKIIssuer", by_cluster(json!({"mount": "pki"})), "exactly one of root and intermediate"),
        ("PKIIssuer", issuer(json!({"clusterRef": null})), "exactly one of clusterRef and projectRef"),
        ("PKIIssuer", issuer(json!({"issuerName": "default"})), "issuerName must not be default"),
        ("PKIIssuer", issuer(json!({"issuerName": "ca-next"})), "must not end with -next"),
        ("PKIIssuer", issuer(json!({"issuerName": "a/b"})), "a role or issuer consists of letters"),
        ("PKIIssuer", issuer(json!({"mount": "sys/pki"})), "nothing below auth, sys, identity and cubbyhole"),
        (
            "PKIIssuer",
            issuer(json!({"urls": {"ocspServers": ["a,b"]}})),
            "each URL in certificates starts with",
        ),
        ("PKIIssuer", issuer(json!({"root": {"keyType": "dsa"}})), "Unsupported value"),
        ("PKIIssuer", issuer(json!({"root": {"maxPathLength": -1}})), "greater than or equal to 0"),
        (
            "PKIIssuer",
            issuer(json!({"renewBefore": "1y"})),
            "must be a duration with its unit, such as 30m, 87600h",
        ),
        ("PKIRole", pki_role(json!({"ttl": "2h", "maxTTL": "1h"})), "ttl must be at most maxTTL"),
        (
            "PKIRole",
            pki_role(json!({"allowedDomains": ["a,b"]})),
            "each entry of allowedDomains is one domain",
        ),
        ("PKIRole", pki_role(json!({"name": "a/b"})), "a role or issuer consists of letters"),
        (
            "PKIRole",
            pki_role(json!({"mount": "auth/pki"})),
            "nothing below auth, sys, identity and cubbyhole",
        ),
        ("BaoPolicy", acl(json!({"policy": "path \"a\" {}"})), "set exactly one of policy and rules"),
        ("BaoPolicy", acl(json!({"rules": []})), "set exactly one of policy and rules"),
        ("BaoPolicy", acl(json!({"clusterRef": null})), "set exactly one of clusterRef and projectRef"),
        (
            "BaoPolicy",
            acl(json!({"projectRef": {"name": "p"}})),
            "set exactly one of clusterRef and projectRef",
        ),
        ("BaoPolicy", acl(json!({"namespace": "a//b"})), "namespace must be a path"),
        ("BaoPolicy", acl(json!({"name": "Web"})), "the name of a policy consists of lower-case letters"),
        ("BaoPolicy", acl(json!({"name": "root"})), "and is not root"),
        ("BaoPolicy", rule(json!({"path": "/kv"})), "path must not start with /"),
        ("BaoPolicy", rule(json!({"capabilities": []})), "should have at least 1 items"),
        ("BaoPolicy", rule(json!({"capabilities": ["write"]})), "Unsupported value"),
        (
            "BaoPolicy",
            rule(json!({"capabilities": ["deny", "read"]})),
            "deny excludes every other capability",
        ),
        ("BaoPolicy", rule(json!({"paginationLimit": 0})), "greater than or equal to 1"),
        (
            "BaoPolicy",
            rule(
                json!({"capabilities": ["read"], "listScanResponseKeysFilterPath": "{{ .path }}{{ .key }}"}),
            ),
            "listScanResponseKeysFilterPath requires the capability list",
        ),
        ("BaoPolicy", rule(json!({"expiration": "tomorrow"})), "must be of type date-time"),
        (
            "BaoAuthRole",
            role(json!({"jwt": {"userClaim": "sub", "boundSubject": "a"}})),
            "set exactly one of kubernetes, jwt",
        ),
        ("BaoAuthRole", other_role(json!({})), "set exactly one of kubernetes, jwt"),
        ("BaoAuthRole", role(json!({"mount": "auth/kubernetes"})), "without auth/, such as kubernetes"),
        ("BaoAuthRole", role(json!({"mount": "a/../b"})), "without auth/, such as kubernetes"),
        ("BaoAuthRole", role(json!({"name": "a/b"})), "a name consists of letters, digits"),
        ("BaoAuthRole", role(json!({"name": "Web"})), "name must be lower-case"),
        ("BaoAuthRole", role(json!({"tokenPolicies": ["root"]})), "is not root"),
        ("BaoAuthRole", role(json!({"tokenPolicies": ["Root"]})), "is not root"),
        ("BaoAuthRole", role(json!({"tokenBoundCIDRs": ["web"]})), "must be an IP address or a network"),
        ("BaoAuthRole", role(json!({"tokenTTL": "5"})), "write a duration with its unit"),
        ("BaoAuthRole", role(json!({"tokenNumUses": 0})), "greater than or equal to 1"),
        (
            "BaoAuthRole",
            role(json!({"kubernetes": {"serviceAccounts": [{"name": "*", "namespace": "*"}]}})),
            "every ServiceAccount could log in",
        ),
        ("BaoAuthRole", role(json!({"kubernetes": {"serviceAccounts": []}})), "should have at least 1 items"),
        ("BaoAuthRole", jwt_role(json!({"boundSubject": null})), "every token of the issuer could log in"),
        ("BaoAuthRole", jwt_role(json!({"boundClaims": {"a": []}})), "should have at least 1 items"),
        ("BaoAuthRole", jwt_role(json!({"roleType": "OIDC"})), "allowedRedirectURIs is required with"),
        (
            "BaoAuthRole",
            jwt_role(json!({"allowedRedirectURIs": ["https://a"]})),
            "only supported with, roleType: OIDC",
        ),
        (
            "BaoAuthRole",
            other_role(json!({"appRole": {"bindSecretID": false}})),
            "everyone who knows the role ID could log in",
        ),
        (
            "BaoAuthRole",
            other_role(json!({"cert": {}})),
            "set exactly one of certificate and certificateSecretRef",
        ),
        (
            "BaoAuthRole",
            other_role(json!({"cert": {"certificate": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw"}})),
            "a private key is not allowed",
        ),
        (
            "BaoAuthRole",
            other_role(json!({"token": {}})),
            "the block token and the mount token belong together",
        ),
        (
            "BaoAuthRole",
            role(json!({"mount": "token"})),
            "the block token and the mount token belong together",
        ),
        (
            "BaoAuthRole",
            other_role(json!({"mount": "token", "token": {}, "tokenPolicies": ["a"]})),
            "use token.allowedPolicies",
        ),
        ("BaoAuthRole", other_role(json!({"method": "LDAPGroup"})), "method requires parameters"),
        (
            "BaoAuthRole",
            other_role(json!({"method": "JWT", "parameters": {"user_claim": "sub"}, "tokenTTL": "1h"})),
            "write token_policies and the other settings of tokens in parameters",
        ),
        ("IdentityGroup", group(json!({"type": "External"})), "alias is required with"),
        (
            "IdentityGroup",
            group(json!({"alias": {"name": "devs", "mount": "jwt"}})),
            "only supported with, type: External",
        ),
        (
            "IdentityGroup",
            group(
                json!({"type": "External", "alias": {"name": "devs", "mount": "jwt"}, "memberEntities": ["a"]}),
            ),
            "only supported with type: Internal",
        ),
        ("IdentityGroup", group(json!({"policies": ["root"]})), "is not root"),
        ("IdentityGroup", group(json!({"memberGroups": ["a/b"]})), "a name consists of letters, digits"),
        (
            "IdentityGroup",
            group(json!({"type": "External", "alias": {"name": "devs", "mount": "auth/jwt"}})),
            "without auth/, such as kubernetes",
        ),
        ("SecretsTenant", tenant(json!({"organizationId": 0})), "greater than or equal to 1"),
        ("SecretsTenant", tenant(json!({"groupId": 0})), "greater than or equal to 1"),
        ("SecretsTenant", tenant(json!({"groupId": null})), "organizationId 1 is the default organization"),
        ("SecretsTenant", tenant(json!({"userId": 3})), "at most one of groupId and userId"),
        ("SecretsTenant", tenant(json!({"layout": "PathPrefix"})), "Unsupported value"),
        ("SecretsTenant", tenant(json!({"deletionDeadline": "soon"})), "write a duration with its unit"),
        ("SecretsProject", project(json!({"id": 0})), "greater than or equal to 1"),
        ("SecretsProject", project(json!({"scope": "Galaxy"})), "Unsupported value"),
        ("SecretsProject", project(json!({"workloads": [workload("A/B")]})), "letters, digits and _ only"),
        ("SecretsProject", project(json!({"workloads": [workload("*")]})), "letters, digits and _ only"),
        (
            "SecretsProject",
            project(json!({"pipelineAuth": {"tokenTTL": "5"}})),
            "write a duration with its unit",
        ),
        (
            "SecretsProject",
            project(json!({"pipelineAuth": {"tokenTTL": "768h"}})),
            "tokenTTL must be 10s to 24h",
        ),
        (
            "SecretsProject",
            project(json!({"deletionDeadline": "721h"})),
            "deletionDeadline must be at most 720h",
        ),
        (
            "SecretsTenant",
            tenant(json!({"deletionDeadline": "721h"})),
            "deletionDeadline must be at most 720h",
        ),
        ("SecretsProject", project(json!({"policy": {}})), "field not declared in schema"),
        (
            "PipelinePolicy",
            policy(json!({"scopes": ["a"], "branches": ["main"]})),
            "scopes cannot be combined",
        ),
        ("PipelinePolicy", policy(json!({"ttl": "0s"})), "ttl must be 1s to 8760h"),
        ("PipelinePolicy", policy(json!({"when": {"userIds": [0]}})), "an ID must be 1 or greater"),
        (
            "PipelinePolicy",
            policy(json!({"when": {"pipelineSources": ["Push"]}})),
            "such as merge_request_event",
        ),
        ("PipelinePolicy", policy(json!({"when": {"deploymentTiers": ["prod"]}})), "Unsupported value"),
        ("UserPolicy", person(json!({"principal": {}})), "exactly one of user, memberRole and role"),
        (
            "UserPolicy",
            person(json!({"principal": {"user": {"id": 1}, "memberRole": {"id": 1}}})),
            "exactly one of user, memberRole and role",
        ),
        ("UserPolicy", person(json!({"principal": {"user": {"id": 0}}})), "greater than or equal to 1"),
        ("UserPolicy", person(json!({"principal": {"role": {"accessLevel": "Guest"}}})), "Unsupported value"),
        ("UserPolicy", person(json!({"grants": {}})), "exactly one of all and secrets"),
        ("UserPolicy", person(json!({"grants": {"all": []}})), "at least 1 items"),
        (
            "UserPolicy",
            person(json!({"grants": {"secrets": [{"name": "DB*", "verbs": ["Write"]}]}})),
            "letters, digits and _ only",
        ),
        ("ManagedSecret", owned(json!({"name": "explicit/A"})), "letters, digits and _ only"),
        ("ManagedSecret", owned(json!({"name": ""})), "at least 1 chars long"),
        ("ManagedSecret", owned(json!({"value": "x"})), "field not declared in schema"),
        ("ManagedSecret", owned(json!({"description": "a\nb"})), "must be printable text"),
        ("ManagedSecret", owned(json!({"description": "\u{1f511}".repeat(150)})), "at most 512 bytes"),
        ("ManagedSecret", owned(json!({"environment": "a\u{a0}b"})), "must be printable text"),
        ("ManagedSecret", owned(json!({"branch": "a\tb"})), "must be printable text"),
        ("ManagedSecret", owned(json!({"branch": "main", "protected": true})), "not both"),
        ("ManagedSecret", owned(json!({"valueFrom": {}})), "exactly one of secretKeyRef and generate"),
        (
            "ManagedSecret",
            owned(
                json!({"valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}, "generate": {"uuid": {}}}}),
            ),
            "exactly one of secretKeyRef and generate",
        ),
        ("ManagedSecret", owned_by_generator(json!({})), "requires exactly one of password, passwordPolicy"),
        ("ManagedSecret", owned_by_generator(json!({"passwordPolicy": {"name": "a"}})), "use password"),
        ("ManagedSecret", owned(json!({"rotation": {"interval": "167h"}})), "at least 168h (7 days)"),
        (
            "ManagedSecret",
            owned(json!({"rotation": {"interval": "168h", "mode": "Regenerate"}})),
            "requires valueFrom.generate",
        ),
        (
            "ManagedSecret",
            owned(json!({"rollbackTo": 1, "rotation": {"interval": "168h", "destroyPrevious": true}})),
            "rollbackTo excludes rotation.destroyPrevious",
        ),
        ("ManagedSecret", owned(json!({"rollbackTo": 0})), "greater than or equal to 1"),
        ("ManagedSecret", owned(json!({"maxVersions": 0})), "greater than or equal to 1"),
        (
            "SecretsProject",
            project(json!({"additionalIssuers": [{"name": "a", "issuerRef": {"name": "i"}}]})),
            "exactly one of id and subjects",
        ),
        (
            "SecretsProject",
            project(json!({"userAuth": {"boundCIDRs": ["10.0.0.1"]}})),
            "networks such as 10.0.0.0/8",
        ),
        ("SecretsProject", project(json!({"apiAuth": {"tokenTTL": "2h"}})), "tokenTTL must be 10s to 1h"),
        (
            "JWTIssuer",
            json!({"oidcDiscoveryUrl": "https://i", "claims": {"project": "p"}}),
            "claims requires profile: Generic",
        ),
        (
            "JWTIssuer",
            json!({"oidcDiscoveryUrl": "https://i", "subjectPrefixes": {"pipeline": "a", "user": "a:b"}}),
            "must not be the beginning of each other",
        ),
        ("PipelinePolicy", policy(json!({"secrets": [{"name": "DB*"}]})), "letters, digits and _ only"),
        ("PipelinePolicy", policy(json!({"secrets": [{"name": "a/b"}]})), "letters, digits and _ only"),
        ("PipelinePolicy", policy(json!({"secrets": []})), "should have at least 1 items"),
        (
            "PipelinePolicy",
            policy(json!({"secrets": [{"name": "A", "capabilities": ["write"]}]})),
            "Unsupported value",
        ),
        ("PipelinePolicy", policy(json!({"branches": ["^main$"]})), "only * has a special meaning"),
        ("PipelinePolicy", policy(json!({"branches": ["main\n"]})), "only * has a special meaning"),
        ("PipelinePolicy", policy(json!({"branches": ["main", "a..b"]})), "no branch has such a name"),
        ("PipelinePolicy", policy(json!({"branches": ["!main"]})), "no branch has such a name"),
        ("PipelinePolicy", policy(json!({"environments": ["(prod|staging)"]})), "the name of an environment"),
        ("PipelinePolicy", policy(json!({"environments": ["prod/"]})), "the name of an environment"),
        ("PipelinePolicy", policy(json!({"branch": "main"})), "field not declared in schema"),
        ("JWTIssuer", json!({}), "exactly one of oidcDiscoveryUrl, jwksUrl and publicKeys"),
        (
            "JWTIssuer",
            json!({"oidcDiscoveryUrl": "https://a", "jwksUrl": "https://b", "boundIssuer": "a"}),
            "exactly one of",
        ),
        ("JWTIssuer", json!({"jwksUrl": "https://a/keys"}), "boundIssuer is required"),
        (
            "JWTIssuer",
            json!({"oidcDiscoveryUrl": "https://a/.well-known/openid-configuration"}),
            "without /.well-known",
        ),
        ("JWTIssuer", json!({"oidcDiscoveryUrl": "https://a", "algorithms": ["HS256"]}), "Unsupported value"),
        (
            "JWTIssuer",
            json!({"publicKeys": ["-----BEGIN RSA PRIVATE KEY-----\nabcdefghijklmnop"], "boundIssuer": "a"}),
            "a private key is not allowed",
        ),
        (
            "OpenBaoCluster",
            json!({"external": {"address": "bao:8200", "managementAuth": {"jwt": {"audience": "a"}}}}),
            "address must be a URL",
        ),
        ("BaoConnection", json!({"address": "http://bao"}), "Set allowPlaintext: true to accept this"),
        (
            "BaoConnection",
            json!({"address": "http://bao", "allowPlaintext": false}),
            "address must be an https:// URL",
        ),
        (
            "OpenBaoCluster",
            json!({"external": {"address": "http://bao", "managementAuth": {"jwt": {"audience": "a"}}}}),
            "Set allowPlaintext: true to accept this",
        ),
        (
            "OpenBaoCluster",
            json!({"external": {
                "address": "https://bao", "additionalAddresses": ["https://b", "http://c"],
                "managementAuth": {"jwt": {"audience": "a"}},
            }}),
            "each address must be an https:// URL",
        ),
        (
            "JWTIssuer",
            json!({"oidcDiscoveryUrl": "http://a"}),
            "oidcDiscoveryUrl and jwksUrl must be https://",
        ),
        (
            "JWTIssuer",
            json!({"jwksUrl": "http://a/keys", "boundIssuer": "a"}),
            "oidcDiscoveryUrl and jwksUrl must be https://",
        ),
        (
            "OpenBaoCluster",
            json!({"external": {"address": "https://bao", "managementAuth": {}}}),
            "exactly one of kubernetes and jwt",
        ),
        (
            "OpenBaoCluster",
            json!({"external": {"address": "https://bao", "managementAuth": {"jwt": {"audience": "a"}, "kubernetes": {"audience": "a"}}}}),
            "exactly one of kubernetes and jwt",
        ),
        (
            "JWTIssuer",
            json!({"oidcDiscoveryUrl": "https://a", "leeway": "11m"}),
            "leeway must be at most 10m",
        ),
        (
            "JWTIssuer",
            json!({"oidcDiscoveryUrl": "https://a", "refreshAfter": "25h"}),
            "refreshAfter must be 1s to 24h",
        ),
        (
            "JWTIssuer",
            json!({"oidcDiscoveryUrl": "https://a", "refreshAfter": "0s"}),
            "refreshAfter must be 1s to 24h",
        ),
        (
            "OpenBaoCluster",
            scoped(json!({"operatorScope": "Namespaces"})),
            "operatorScope: Namespaces requires operatorNamespaces",
        ),
        ("OpenBaoCluster", listed(json!([])), "list at least one OpenBao namespace"),
        (
            "OpenBaoCluster",
            scoped(json!({"operatorScope": "Root", "operatorNamespaces": ["a"]})),
            "no other operatorScope permits it",
        ),
        ("OpenBaoCluster", scoped(json!({"operatorNamespaces": ["a"]})), "no other operatorScope permits it"),
        ("OpenBaoCluster", listed(json!(["a", "b/"])), "without / at its start or end"),
        ("OpenBaoCluster", listed(json!(["a//b"])), "empty segments"),
        ("OpenBaoCluster", listed(json!(["a/.."])), "must be a path such as team-a/apps"),
        ("OpenBaoCluster", listed(json!(["a/+"])), "must be a path such as team-a/apps"),
        ("OpenBaoCluster", listed(json!(["a/sys"])), "no OpenBao namespace has the name root, sys"),
        ("OpenBaoCluster", scoped(json!({"operatorScope": "Galaxy"})), "Unsupported value"),
        (
            "OpenBaoCluster",
            managed(json!({"failover": {"detection": "2s"}})),
            "failover.detection must be 6s to 10m",
        ),
        (
            "OpenBaoCluster",
            managed(json!({"upgrade": {"nodeTimeout": "0s"}})),
            "upgrade.nodeTimeout must be 1s to 24h",
        ),
        (
            "OpenBaoCluster",
            managed(json!({"listener": {"maxRequestDuration": "0s"}})),
            "listener.maxRequestDuration must be 1s to 24h",
        ),
        (
            "OpenBaoCluster",
            managed(json!({"serviceAccount": {"token": {"audience": "sts.example.com", "lifetime": "5m"}}})),
            "serviceAccount.token.lifetime must be 10m to 24h",
        ),
        (
            "OpenBaoCluster",
            managed(json!({"image": "x", "imageCatalogRef": {"name": "images"}})),
            "set image or imageCatalogRef, not both",
        ),
        (
            "OpenBaoCluster",
            managed(json!({"replicas": 1, "upgrade": {"validation": {"job": {}}}})),
            "upgrade.validation requires 3 or 5 replicas",
        ),
        (
            "OpenBaoCluster",
            managed(json!({"upgrade": {"validation": {"job": {}, "timeout": "1s"}}})),
            "upgrade.validation.timeout must be 10s to 24h",
        ),
        (
            "OpenBaoCluster",
            managed(json!({"upgrade": {"validation": {"job": {"env": {"A-B": "c"}}}}})),
            "names in validation.job.env must be letters, digits and underscores",
        ),
        ("OpenBaoCluster", audited(json!({})), "file requires exactly one of path and volume"),
        (
            "OpenBaoCluster",
            audited(json!({"path": "stdout", "volume": {"size": "1Gi"}})),
            "file requires exactly one of path and volume",
        ),
        (
            "OpenBaoCluster",
            audited(json!({"path": "stdout", "rotate": {}})),
            "file.rotate requires file.volume",
        ),
        (
            "OpenBaoCluster",
            audited(json!({"volume": {"size": "899Mi"}})),
            "file.volume.size must be at least rotate.maxSize (100Mi) times rotate.maxFiles (8) plus one",
        ),
        (
            "OpenBaoCluster",
            audited(json!({"volume": {"size": "1Gi"}, "rotate": {"maxSize": "1Gi", "maxFiles": 1}})),
            "file.volume.size must be at least rotate.maxSize",
        ),
        ("OpenBaoCluster", audited(json!({"volume": {"size": "1G"}})), "such as 1Gi"),
        (
            "OpenBaoCluster",
            managed(json!({"restoreDrill": {"databaseSecretRef": {"name": "a"}, "schedule": "daily"}})),
            "schedule must be minute, hour, day of the month",
        ),
        (
            "OpenBaoCluster",
            managed(json!({"restoreDrill": {"databaseSecretRef": {"name": "a"}, "timeout": "5s"}})),
            "restoreDrill.timeout must be 1m to 24h",
        ),
        (
            "BaoConnection",
            json!({"address": "https://bao", "timeout": "99999999999999999999h"}),
            "of at most 8760h",
        ),
        ("BaoConnection", json!({"address": "https://bao", "timeout": "9999h"}), "must be at most 8760h"),
        ("BaoConnection", json!({"address": "https://bao", "timeout": "61s"}), "timeout must be 1s to 60s"),
        ("BaoConnection", json!({"address": "https://bao", "timeout": "0s"}), "timeout must be 1s to 60s"),
        ("BaoConnection", json!({}), "exactly one of address and clusterRef"),
        (
            "BaoConnection",
            json!({"address": "https://bao", "clusterRef": {"name": "main"}}),
            "exactly one of address and clusterRef",
        ),
        (
            "BaoConnection",
            json!({"address": "https://bao", "headers": {"X-Vault-Namespace": "a"}}),
            "set namespace on the BaoAuth",
        ),
        ("BaoConnection", headers(json!({"X Odd": "a"})), "a header name consists of"),
        ("BaoConnection", headers(json!({"Cookie": "a"})), "headers X-Vault-*, X-Forwarded-*"),
        ("BaoConnection", headers(json!({"X-Gate": "let-me-in\n"})), "a header value has"),
        (
            "BaoConnection",
            json!({"clusterRef": {"name": "main"}, "skipTLSVerify": true}),
            "with clusterRef the TLS settings",
        ),
        (
            "BaoAuth",
            json!({"method": "Kubernetes", "kubernetes": kubernetes}),
            "exactly one of connectionRef, clusterRef and projectRef",
        ),
        ("BaoAuth", json!({"clusterRef": {"name": "main"}}), "method is required"),
        (
            "BaoAuth",
            json!({"clusterRef": {"name": "main"}, "method": "JWT", "kubernetes": kubernetes}),
            "is required with method",
        ),
        ("BaoAuth", json!({"projectRef": {"name": "web"}}), "projectRef and workload must be set together"),
        (
            "BaoAuth",
            json!({"connectionRef": {"name": "main"}, "method": "JWT", "jwt": {"role": "r", "serviceAccount": "s"}}),
            "jwt.audiences is required",
        ),
        (
            "BaoAuth",
            json!({
                "connectionRef": {"name": "main"}, "method": "Kubernetes",
                "kubernetes": {"role": "r", "serviceAccount": "s"},
            }),
            "kubernetes.audiences is required",
        ),
        (
            "BaoAuth",
            json!({"clusterRef": {"name": "main"}, "method": "JWT", "jwt": {"role": "r"}}),
            "exactly one of serviceAccount and secretRef",
        ),
        ("BaoPKISecret", certificate(json!({"mount": "sys/pki"})), "must be the path of a secrets engine"),
        ("BaoPKISecret", certificate(json!({"role": "../web"})), "a role or issuer consists of"),
        ("BaoPKISecret", certificate(json!({"issuerRef": "a/b"})), "a role or issuer consists of"),
        ("BaoPKISecret", certificate(json!({"altNames": ["a,b"]})), "each entry of altNames is one name"),
        ("BaoPKISecret", certificate(json!({"ipSans": ["10.0.0"]})), "must be an IP address"),
        ("BaoPKISecret", certificate(json!({"ttl": "1 day"})), "ttl must be a duration with its unit"),
        ("BaoPKISecret", certificate(json!({"ttl": "5d12h"})), "ttl must be a duration with its unit"),
        ("BaoPKISecret", certificate(json!({"notAfter": "2030-01-01 00:00:00Z"})), "must be a time in UTC"),
        (
            "BaoPKISecret",
            certificate(json!({"ttl": "1h", "notAfter": "2030-01-01T00:00:00Z"})),
            "write one of them",
        ),
        ("BaoPKISecret", certificate(json!({"format": "p12"})), "Unsupported value"),
        (
            "BaoPKISecret",
            certificate(json!({"format": "der", "destination": {"name": "a", "type": "kubernetes.io/tls"}})),
            "a Secret of type kubernetes.io/tls contains PEM",
        ),
        ("BaoAuth", by_cluster(json!({"method": "AppRole"})), "appRole is required with method AppRole"),
        (
            "BaoAuth",
            by_cluster(
                json!({"method": "AWS", "aws": {"role": "r", "secretRef": "s", "irsaServiceAccount": "a"}}),
            ),
            "aws requires role, and exactly one of secretRef and irsaServiceAccount",
        ),
        (
            "BaoAuth",
            by_cluster(
                json!({"method": "AWS", "aws": {"role": "r", "secretRef": "s", "stsEndpoint": "http://sts"}}),
            ),
            "the endpoint must be an https:// URL",
        ),
        (
            "BaoAuth",
            by_cluster(json!({"method": "GCP", "gcp": {"role": "r", "workloadIdentityServiceAccount": "a"}})),
            "gcp requires role, workloadIdentityServiceAccount, region, clusterName and projectID",
        ),
        (
            "ClusterBaoStaticSecret",
            json!({"template": {"spec": spread}}),
            "one of namespaces, namespaceSelector",
        ),
        (
            "ClusterBaoStaticSecret",
            json!({"namespaceSelector": {}, "template": {"spec": spread}}),
            "a selector requires matchLabels or matchExpressions",
        ),
        (
            "ClusterBaoStaticSecret",
            json!({
                "namespaceSelectors": [{"matchExpressions": [{"key": "a", "operator": "In"}]}], "template": {"spec": spread},
            }),
            "the operators In and NotIn require values",
        ),
        (
            "ClusterBaoStaticSecret",
            json!({"namespaces": ["a"], "template": {"metadata": {"labels": {"steamer.dev/x": "y"}}, "spec": spread}}),
            "keys with the prefixes kubernetes.io",
        ),
        (
            "BaoAuth",
            by_cluster(json!({"method": "Token", "token": {"secretRef": "s"}, "ldap": {}})),
            "ldap is required with method LDAP, and only allowed with it",
        ),
        (
            "BaoAuth",
            by_cluster(
                json!({"method": "AppRole", "appRole": {"roleId": "r", "secretRef": "s", "secretIDPath": "/a"}}),
            ),
            "exactly one of secretRef and secretIDPath",
        ),
        (
            "BaoAuth",
            by_cluster(json!({"method": "AppRole", "appRole": {"roleId": "r", "secretIDPath": "/a/../b"}})),
            "secretIDPath",
        ),
        (
            "BaoAuth",
            by_cluster(json!({"method": "UserPass", "userPass": {"username": "u"}})),
            "username and secretRef",
        ),
        (
            "BaoAuth",
            by_cluster(json!({"method": "LDAP", "ldap": {"username": "a/b", "secretRef": "s"}})),
            "ldap.username",
        ),
        ("BaoAuth", by_cluster(json!({"method": "Token", "token": {}})), "token requires secretRef"),
        (
            "BaoAuth",
            by_cluster(json!({"method": "Token", "token": {"secretRef": "s"}, "inline": "Always"})),
            "inline: Always requires method",
        ),
        (
            "BaoAuth",
            by_cluster(
                json!({"method": "Token", "token": {"secretRef": "s"}, "headers": {"X-Vault-Token": "a"}}),
            ),
            "headers X-Vault-*, X-Forwarded-*",
        ),
        ("BaoAuth", json!({"authGlobalRef": {}}), "requires name, or allowDefault"),
        (
            "BaoAuth",
            json!({"projectRef": {"name": "web"}, "workload": "web", "authGlobalRef": {"name": "a"}}),
            "remove authGlobalRef",
        ),
        (
            "BaoAuthGlobal",
            json!({"connectionRef": {"name": "a"}, "clusterRef": {"name": "a"}}),
            "at most one of connectionRef and clusterRef",
        ),
        ("BaoAuthGlobal", json!({"jwt": {"mount": "a//b"}}), "without empty segments, . or .."),
        ("BaoAuthGlobal", json!({"ldap": {"headers": {"Cookie": "a"}}}), "headers X-Vault-*, X-Forwarded-*"),
        ("BaoStaticSecret", secret(json!({"refreshAfter": "fast"})), "write a duration with its unit"),
        ("BaoStaticSecret", secret(json!({"refreshAfter": "100ms"})), "refreshAfter must be at least 1s"),
        ("BaoStaticSecret", secret(json!({"type": "kv-v3"})), "Unsupported value"),
        (
            "BaoStaticSecret",
            secret(json!({"type": "kv-v1", "version": 3})),
            "version is only supported with type kv-v2",
        ),
        (
            "BaoStaticSecret",
            secret(json!({"sources": [{"mount": "kv", "path": "a", "type": "kv-v2"}]})),
            "sources for several: write one of them",
        ),
        (
            "BaoStaticSecret",
            json!({"mount": "kv", "type": "kv-v2", "destination": {"name": "a", "create": true}}),
            "mount, path and type are required",
        ),
        (
            "BaoStaticSecret",
            json!({
                "sources": [{"mount": "kv", "path": "a//b", "type": "kv-v2"}],
                "destination": {"name": "a", "create": true},
            }),
            "empty segments",
        ),
        ("BaoStaticSecret", source(json!({})), "exactly one of path (one secret) and find"),
        (
            "BaoStaticSecret",
            source(json!({"path": "a", "find": {}})),
            "exactly one of path (one secret) and find",
        ),
        ("BaoStaticSecret", source(json!({"find": {"path": "a/"}})), "must not start or end with /"),
        (
            "BaoStaticSecret",
            source(json!({"find": {}, "version": 1})),
            "keys and version are not supported with find",
        ),
        (
            "BaoStaticSecret",
            source(json!({"find": {}, "keys": [{"key": "a"}]})),
            "keys and version are not supported",
        ),
        (
            "BaoStaticSecret",
            source(json!({"find": {}, "decode": "Base64"})),
            "decode with find requires find.key",
        ),
        (
            "BaoStaticSecret",
            source(json!({"find": {"metadata": {"a": "b"}}, "type": "kv-v1"})),
            "find.metadata is only supported with type kv-v2",
        ),
        ("BaoStaticSecret", source(json!({"path": "a", "decode": "Hex"})), "Unsupported value"),
        ("BaoStaticSecret", secret(json!({"refreshPolicy": "Sometimes"})), "Unsupported value"),
        ("BaoStaticSecret", window("at noon", "1h"), "schedule must be minute, hour, day of the month"),
        ("BaoStaticSecret", window("* * * *", "1h"), "schedule must be minute, hour, day of the month"),
        ("BaoStaticSecret", window("@daily", "10s"), "duration of a window must be 1m to 168h"),
        ("BaoStaticSecret", window("0 2 * * MON-FRI", "169h"), "duration of a window must be 1m to 168h"),
        (
            "BaoStaticSecret",
            secret(json!({"destination": {"name": "a", "immutable": true}})),
            "immutable requires create: true",
        ),
        (
            "BaoStaticSecret",
            destination(json!({"creationPolicy": "Merge"})),
            "creationPolicy: Merge writes into an existing Secret",
        ),
        ("BaoStaticSecret", secret(json!({"path": "a/../b"})), "must not contain . or .."),
        ("BaoStaticSecret", secret(json!({"path": "a//b"})), "empty segments"),
        ("BaoStaticSecret", secret(json!({"mount": "kv/../kv"})), "without empty segments, . or .."),
        ("BaoStaticSecret", secret(json!({"mount": "auth/token"})), "must be the path of a KV engine"),
        ("BaoStaticSecret", secret(json!({"mount": "/sys"})), "must be the path of a KV engine"),
        ("BaoStaticSecret", secret(json!({"namespace": "a\nb"})), "control characters"),
        (
            "BaoStaticSecret",
            destination(json!({"type": "kubernetes.io/service-account-token"})),
            "must not be",
        ),
        ("BaoStaticSecret", destination(json!({"type": "bootstrap.kubernetes.io/token"})), "must not be"),
        ("BaoStaticSecret", destination(json!({"type": "helm.sh/release.v1"})), "must not be"),
        ("BaoStaticSecret", destination(json!({"labels": {"steamer.dev/cluster": "main"}})), "are reserved"),
        (
            "BaoStaticSecret",
            destination(json!({"labels": {"app.kubernetes.io/managed-by": "x"}})),
            "are reserved",
        ),
        (
            "BaoStaticSecret",
            destination(json!({"annotations": {"kubernetes.io/service-account.name": "admin"}})),
            "are reserved",
        ),
        ("BaoStaticSecret", destination(json!({"annotations": {"a.k8s.io/b": "c"}})), "are reserved"),
        (
            "DatabaseConnection",
            connection(json!({"mount": "sys/raw"})),
            "must be the path of a secrets engine",
        ),
        ("DatabaseConnection", connection(json!({"name": "a/b"})), "the name of a connection or role"),
        ("DatabaseConnection", connection(json!({"plugin": "a b"})), "plugin must be the name of a plugin"),
        ("DatabaseConnection", connection(json!({"connectionURL": null})), "this plugin needs connectionURL"),
        ("DatabaseConnection", connection(json!({"rootSecretRef": null})), "rootSecretRef is required"),
        (
            "DatabaseConnection",
            connection(json!({"clusterRef": null})),
            "exactly one of clusterRef and projectRef",
        ),
        (
            "DatabaseConnection",
            connection(json!({"connectionURL": "postgresql://u:secret@db/app"})),
            "connectionURL must not contain a password",
        ),
        (
            "DatabaseConnection",
            connection(json!({"connectionURL": "postgresql://{{username}}:secret@db/app"})),
            "connectionURL must not contain a password",
        ),
        (
            "DatabaseConnection",
            connection(json!({"connectionURL": "root:se/cret@tcp(db:3306)/"})),
            "connectionURL must not contain a password",
        ),
        (
            "DatabaseConnection",
            connection(json!({"connectionURL": "host=db user={{username}} password=secret"})),
            "write password={{password}} in its place",
        ),
        ("DatabaseConnection", connection(json!({"maxOpenConnections": 0})), "greater than or equal to 1"),
        ("DatabaseConnection", connection(json!({"rotateRoot": "Daily"})), "Unsupported value"),
        (
            "DatabaseRole",
            database_role(json!({"creationStatements": ["x"]})),
            "exactly one of creationStatements, ownerRole",
        ),
        (
            "DatabaseRole",
            database_role(json!({"ownerRole": null})),
            "exactly one of creationStatements, ownerRole",
        ),
        (
            "DatabaseRole",
            database_role(json!({"ownerRole": "a; DROP"})),
            "ownerRole must be the name of a role",
        ),
        (
            "DatabaseRole",
            database_role(json!({"ownerRole": "{{name}}"})),
            "ownerRole must be the name of a role",
        ),
        ("DatabaseRole", database_role(json!({"ownerRole": "none"})), "ownerRole must be the name of a role"),
        ("DatabaseRole", database_role(json!({"name": "../x"})), "the name of a connection or role"),
        ("DatabaseRole", database_role(json!({"defaultTTL": "1500ms"})), "a number of whole seconds"),
        ("DatabaseRole", fixed(json!({"rotationPeriod": "5500ms"})), "a number of whole seconds"),
        (
            "DatabaseRole",
            database_role(json!({"defaultTTL": "2h", "maxTTL": "1h"})),
            "must not be longer than maxTTL",
        ),
        ("DatabaseRole", merged(fixed(json!({})), json!({"maxTTL": "1h"})), "a static role has no leases"),
        ("DatabaseRole", fixed(json!({"rotationPeriod": "4s"})), "rotationPeriod must be at least 5s"),
        ("DatabaseRole", fixed(json!({"rotationSchedule": "0 0 * * *"})), "field not declared in schema"),
        ("BaoDynamicSecret", dynamic(json!({"mount": "auth/token"})), "must be the path of a secrets engine"),
        ("BaoDynamicSecret", dynamic(json!({"path": "creds/../x"})), "must not contain . or .."),
        ("BaoDynamicSecret", dynamic(json!({"renewalPercent": 91})), "less than or equal to 90"),
        (
            "BaoDynamicSecret",
            dynamic(json!({"requestHTTPMethod": "GET", "params": {"ttl": "1h"}})),
            "params are sent with POST or PUT",
        ),
        ("BaoStaticSecret", destination(json!({"labels": {"team": "a b"}})), "a value of a label has"),
        ("BaoStaticSecret", destination(json!({"labels": {"-bad": "a"}})), "keys of labels and annotations"),
        (
            "BaoStaticSecret",
            destination(json!({"annotations": {"-bad": "a"}})),
            "keys of labels and annotations",
        ),
        (
            "BaoAuth",
            json!({"clusterRef": {"name": "main"}, "mount": "a/../b", "method": "Kubernetes", "kubernetes": kubernetes}),
            "without empty segments, . or ..",
        ),
        (
            "BaoAuth",
            json!({"clusterRef": {"name": "main"}, "namespace": "./b", "method": "Kubernetes", "kubernetes": kubernetes}),
            "without empty segments, . or ..",
        ),
        (
            "OpenBaoCluster",
            json!({"external": {"address": "https://bao", "namespace": "a//b", "managementAuth": {"jwt": {"audience": "a"}}}}),
            "without empty segments, . or ..",
        ),
        (
            "BaoStaticSecret",
            secret(json!({"destination": {"name": "a", "overwrite": true}})),
            "overwrite requires create: true",
        ),
        (
            "BaoStaticSecret",
            destination(json!({"transformation": {"templates": {"a b": {"text": ""}}}})),
            "a key of templates is a key of the Secret",
        ),
        (
            "BaoStaticSecret",
            destination(json!({"transformation": {"labels": {"steamer.dev/cluster": "main"}}})),
            "are reserved",
        ),
        (
            "BaoStaticSecret",
            destination(json!({"transformation": {"annotations": {"-bad": "a"}}})),
            "keys of labels and annotations",
        ),
        ("BaoStaticSecret", source(json!({"path": "a", "rewrite": [{"source": "a"}]})), "source and target"),
        (
            "BaoStaticSecret",
            destination(json!({"transformation": {"templates": {"..a": {"text": ""}}}})),
            "does not start with ..",
        ),
        (
            "BaoStaticSecret",
            destination(json!({"transformation": {"transformationRefs": [
                {"name": "a", "templateRefs": [{"name": "b", "keyOverride": "a/b"}]},
            ]}})),
            "keyOverride must be a key of a Secret",
        ),
        (
            "SecretTransformation",
            json!({"templates": {"a/b": {"text": ""}}}),
            "a key of templates is a key of the Secret",
        ),
        ("BaoStaticSecret", secret(json!({"destination": {"name": "A_B"}})), "lowercase letters"),
        ("BaoStaticSecret", secret(json!({"vaultAuthRef": "x"})), "field not declared in schema"),
        ("BaoStaticSecret", target(json!({"kind": "Deployment"})), "exactly one of name and selector"),
        (
            "BaoStaticSecret",
            target(json!({"kind": "Deployment", "name": "a", "selector": {"matchLabels": {"a": "b"}}})),
            "exactly one of name and selector",
        ),
        ("BaoStaticSecret", target(json!({"kind": "Job", "name": "a"})), "Unsupported value"),
        ("BaoStaticSecret", target(json!({"kind": "Deployment", "name": "A_B"})), "valid name of a workload"),
        (
            "BaoStaticSecret",
            target(json!({"kind": "DaemonSet", "selector": {"matchLabels": {}}})),
            "should have at least 1 properties",
        ),
        (
            "BaoStaticSecret",
            target(json!({"kind": "DaemonSet", "selector": {"matchLabels": {"a": "b c"}}})),
            "a value of a label has",
        ),
        (
            "BaoStaticSecret",
            secret(json!({"rolloutRestart": {"debounce": "2h"}})),
            "debounce must be at most 1h",
        ),
        (
            "BaoStaticSecret",
            secret(json!({"rolloutRestart": {"maxConcurrent": 0}})),
            "greater than or equal to 1",
        ),
        ("BaoPushSecret", push(json!({"data": []})), "should have at least 1 items"),
        ("BaoPushSecret", push(json!({"secretRef": null})), "secretRef or selector is required"),
        (
            "BaoPushSecret",
            push(json!({"selector": labels(json!({"a": "b"}))})),
            "exclude each other: remove one",
        ),
        (
            "BaoPushSecret",
            selected(json!({"selector": labels(json!({}))})),
            "a selector requires matchLabels",
        ),
        (
            "BaoPushSecret",
            selected(json!({"selector": labels(json!({"a b": "c"}))})),
            "keys of labels and annotations",
        ),
        (
            "BaoPushSecret",
            selected(json!({"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}})),
            "the operators In and NotIn require values",
        ),
        (
            "BaoPushSecret",
            selected(json!({"data": [
                {"mount": "kv", "path": "a", "type": "kv-v2", "property": "p", "generate": {"uuid": {}}},
            ]})),
            "generate excludes selector",
        ),
        ("BaoPushSecret", push(json!({"refreshAfter": "100ms"})), "refreshAfter must be at least 1s"),
        ("BaoPushSecret", push(json!({"deletionPolicy": "None"})), "Unsupported value"),
        ("BaoPushSecret", item(json!({"mount": "sys"})), "must be the path of a KV engine"),
        ("BaoPushSecret", item(json!({"path": "a/../b"})), "must not contain . or .."),
        ("BaoPushSecret", item(json!({"property": "p"})), "property requires key or generate"),
        (
            "BaoPushSecret",
            item(json!({"generate": {"uuid": {}}})),
            "generate requires property and type kv-v2",
        ),
        (
            "BaoPushSecret",
            item(json!({"property": "p", "type": "kv-v1", "generate": {"uuid": {}}})),
            "generate requires property and type kv-v2",
        ),
        ("BaoPushSecret", item(json!({"key": "a", "match": "a"})), "remove key and generate"),
        ("BaoPushSecret", item(json!({"rotateAfter": "1h"})), "rotateAfter requires generate"),
        (
            "BaoPushSecret",
            item(json!({"property": "p", "generate": {"uuid": {}}, "rotateAfter": "1s"})),
            "rotateAfter must be at least 1m",
        ),
        ("BaoPushSecret", push(json!({"transformation": {"labels": {"a": "b"}}})), "OpenBao has none"),
        (
            "BaoPushSecret",
            item(json!({"rewrite": [{"source": "a", "template": "b"}]})),
            "source and target, or only template",
        ),
        ("BaoPushSecret", generator(json!({})), "requires exactly one of password, passwordPolicy"),
        ("BaoPushSecret", generator(json!({"uuid": {}, "sshKey": {}})), "requires exactly one of password"),
        ("BaoPushSecret", generator(json!({"bytes": {"length": 15}})), "greater than or equal to 16"),
        ("BaoPushSecret", generator(json!({"password": {"length": 7}})), "greater than or equal to 8"),
        ("BaoPushSecret", generator(json!({"password": {"minDigits": 31}})), "must not exceed its length"),
        (
            "BaoPushSecret",
            generator(json!({"password": {"minLowercase": 0, "minUppercase": 0, "minDigits": 0}})),
            "needs a class of characters",
        ),
        ("BaoPushSecret", generator(json!({"password": {"symbols": "a"}})), "symbols must be ASCII"),
        ("BaoPushSecret", generator(json!({"passwordPolicy": {"name": "a/b"}})), "name of a password policy"),
        ("BaoPushSecret", generator(json!({"sshKey": {"comment": "a\nb"}})), "visible ASCII characters"),
        ("BaoNamespace", json!({}), "set exactly one of clusterRef and projectRef"),
        ("BaoNamespace", by_cluster(json!({"path": "a/b"})), "set namespace to the parent"),
        ("BaoNamespace", by_cluster(json!({"path": "sys"})), "path must be one segment"),
        (
            "BaoNamespace",
            by_cluster(json!({"customMetadata": {"managed-by": "steamer"}})),
            "the mark of tenants and projects",
        ),
        ("BaoNamespace", seal(json!({"pgpKeys": []})), "should have at least 1 items"),
        ("BaoNamespace", seal(json!({"shares": 2, "threshold": 2})), "must contain one key per share"),
        ("BaoNamespace", seal(json!({"threshold": 2})), "must not be greater than seal.shares"),
        (
            "BaoNamespace",
            seal(json!({"shares": 2, "pgpKeys": ["a", "b"]})),
            "seal.threshold must be at least 2",
        ),
        ("BaoNamespace", seal(json!({"recoverySecretName": null})), "recoverySecretName"),
        ("TransitKey", key(json!({"mount": "sys"})), "must be the path of a secrets engine"),
        ("TransitKey", key(json!({"name": "a/b"})), "name consists of letters, digits"),
        ("TransitKey", key(json!({"type": "des"})), "Unsupported value"),
        ("TransitKey", key(json!({"keySize": 64})), "keySize is for type: hmac only"),
        ("TransitKey", key(json!({"convergentEncryption": true})), "needs derived: true"),
        ("TransitKey", key(json!({"autoRotatePeriod": "30m"})), "must be 0s (never), or at least 1h"),
        ("TransitKey", key(json!({"autoRotatePeriod": "3600500ms"})), "a number of whole seconds"),
        (
            "TransitKey",
            key(json!({"minDecryptionVersion": 3, "minEncryptionVersion": 2})),
            "or at least minDecryptionVersion",
        ),
        ("BaoRateLimitQuota", by_cluster(json!({})), "rate: Required value"),
        ("BaoRateLimitQuota", quota(json!({"rate": 0})), "rate must be greater than 0"),
        ("BaoRateLimitQuota", quota(json!({"namespace": "a"})), "write the namespace to limit in path"),
        ("BaoRateLimitQuota", quota(json!({"path": "/kv"})), "path must be a namespace, a mount"),
        ("BaoRateLimitQuota", quota(json!({"path": "kv/*/a"})), "and * before its end"),
        ("BaoRateLimitQuota", quota(json!({"role": "a"})), "role needs path"),
        ("BaoRateLimitQuota", quota(json!({"interval": "0s"})), "interval must be at least 1s"),
        ("BaoRateLimitQuota", quota(json!({"blockInterval": "10ms"})), "a number of whole seconds"),
    ]
}

fn merged(mut base: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().into_iter().flatten() {
        base[name] = value.clone();
    }
    base
}

fn headers(headers: Value) -> Value {
    json!({"address": "https://bao", "headers": headers})
}

#[tokio::test]
async fn an_invalid_spec_is_rejected_with_a_helpful_message() -> Result<()> {
    let case = Case::new("admission").await?;
    let mut unhelpful = Vec::new();
    for (kind, spec, sentence) in mistakes().into_iter().chain(crate::admission_mounts::mistakes()) {
        match case.object(kind, "wrong", spec.clone()).await {
            Ok(_) => unhelpful.push(format!("{kind} {spec} is accepted")),
            Err(error) if error.to_string().contains(sentence) => {}
            Err(error) => unhelpful.push(format!("{kind} {spec}: {error}")),
        }
    }
    assert!(unhelpful.is_empty(), "{}", unhelpful.join("\n"));
    Ok(())
}

#[tokio::test]
async fn immutable_fields_cannot_be_changed() -> Result<()> {
    let case = Case::new("admission-immutable").await?;
    let tenant = json!({"clusterRef": {"name": "main"}, "organizationId": 9001, "groupId": 7, "issuerRef": {"name": "i"}});
    case.object("SecretsTenant", "t", tenant).await?;
    case.object("SecretsProject", "p", json!({"tenantRef": {"name": "t"}, "id": 42})).await?;
    let user = json!({
        "projectRef": {"name": "p"}, "principal": {"user": {"id": 1}}, "grants": {"all": ["Write"]},
    });
    case.object("UserPolicy", "u", user).await?;
    // Every rule accepts this spec.
    let managed = json!({
        "projectRef": {"name": "p"}, "name": "A", "mode": "Observe", "description": "key \u{1f511} of \u{e4}", "environment": "review/*",
        "branch": "main", "valueFrom": {"generate": {"uuid": {}}}, "expiresAt": "2099-01-01T00:00:00Z", "maxVersions": 5,
        "rotation": {"interval": "168h", "mode": "Regenerate", "destroyPrevious": true},
    });
    case.object("ManagedSecret", "ms", managed).await?;
    let back = json!({"projectRef": {"name": "p"}, "name": "B", "mode": "Observe", "protected": false, "rollbackTo": 1});
    case.object("ManagedSecret", "back", back).await?;
    let engine = json!({"clusterRef": {"name": "main"}, "type": "pki", "path": "a", "mode": "Observe"});
    case.object("SecretEngine", "e", engine).await?;
    let method = json!({"clusterRef": {"name": "main"}, "type": "jwt", "mode": "Observe"});
    case.object("AuthMethod", "m", method).await?;
    let cluster = json!({"name": "main"});
    let shares = json!({"pgpKeys": ["a"], "recoverySecretName": "shares"});
    case.object("BaoNamespace", "n", json!({"clusterRef": cluster, "seal": shares})).await?;
    let key = json!({"clusterRef": cluster, "exportable": true, "allowPlaintextBackup": true});
    case.object("TransitKey", "k", key).await?;
    case.object("BaoRateLimitQuota", "q", json!({"clusterRef": cluster, "rate": 5})).await?;
    let root =
        json!({"clusterRef": {"name": "main"}, "mount": "pki", "root": {"commonName": "CA", "ttl": "1h"}});
    case.object("PKIIssuer", "ca", root).await?;
    case.object("PKIRole", "web", json!({"clusterRef": {"name": "main"}, "mount": "pki"})).await?;
    let intermediate = json!({"commonName": "CA", "ttl": "1h", "parentRef": {"name": "x"}});
    let rules = json!([{"path": "kv/data/a", "capabilities": ["read"]}]);
    case.object("BaoPolicy", "a", json!({"clusterRef": {"name": "main"}, "rules": rules})).await?;
    let role = json!({"clusterRef": {"name": "main"}, "mount": "jwt", "jwt": {"userClaim": "sub", "boundSubject": "a"}});
    case.object("BaoAuthRole", "r", role).await?;
    case.object("IdentityGroup", "g", json!({"clusterRef": {"name": "main"}, "name": "g"})).await?;
    let connection = json!({
        "clusterRef": {"name": "main"}, "mount": "database", "plugin": "postgresql-database-plugin",
        "connectionURL": "postgresql://{{username}}:{{password}}@db/app", "rootSecretRef": {"name": "root"},
    });
    case.object("DatabaseConnection", "db", connection).await?;
    let role = json!({"connectionRef": {"name": "db"}, "static": {"username": "u", "rotationPeriod": "1h"}});
    case.object("DatabaseRole", "user", role).await?;
    let changes = [
        ("BaoNamespace", "n", json!({"path": "b"}), "path is immutable"),
        ("BaoNamespace", "n", json!({"seal": {"shares": 2}}), "seal is immutable"),
        ("BaoNamespace", "n", json!({"namespace": "b"}), "namespace is immutable"),
        ("TransitKey", "k", json!({"name": "b"}), "name is immutable"),
        ("TransitKey", "k", json!({"mount": "b"}), "mount is immutable"),
        ("TransitKey", "k", json!({"type": "ed25519"}), "type, derived and convergentEncryption are"),
        ("TransitKey", "k", json!({"type": "hmac", "keySize": 64}), "keySize is immutable"),
        ("TransitKey", "k", json!({"exportable": false}), "exportable cannot become false"),
        ("TransitKey", "k", json!({"allowPlaintextBackup": false}), "allowPlaintextBackup cannot become"),
        ("BaoRateLimitQuota", "q", json!({"name": "b"}), "name is immutable"),
        ("BaoRateLimitQuota", "q", json!({"path": "a", "role": "b"}), "role is immutable"),
        ("PKIIssuer", "ca", json!({"root": {"commonName": "x"}}), "commonName is immutable"),
        ("PKIIssuer", "ca", json!({"root": null, "intermediate": intermediate}), "an issuer stays a root"),
        ("PKIIssuer", "ca", json!({"issuerName": "x"}), "issuerName is immutable"),
        ("PKIIssuer", "ca", json!({"mount": "x"}), "mount is immutable"),
        ("PKIIssuer", "ca", json!({"namespace": "x"}), "namespace is immutable"),
        ("PKIRole", "web", json!({"name": "x"}), "name is immutable"),
        ("PKIRole", "web", json!({"mount": "x"}), "mount is immutable"),
        ("BaoPolicy", "a", json!({"name": "b"}), "name is immutable"),
        ("BaoPolicy", "a", json!({"namespace": "b"}), "namespace is immutable"),
        ("BaoPolicy", "a", json!({"clusterRef": {"name": "other"}}), "clusterRef is immutable"),
        ("BaoAuthRole", "r", json!({"mount": "other"}), "mount is immutable"),
        ("BaoAuthRole", "r", json!({"name": "other"}), "name is immutable"),
        ("IdentityGroup", "g", json!({"name": null}), "name is immutable"),
        (
            "IdentityGroup",
            "g",
            json!({"type": "External", "alias": {"name": "a", "mount": "jwt"}}),
            "type is immutable",
        ),
        ("SecretsTenant", "t", json!({"organizationId": 2}), "organizationId is immutable"),
        ("SecretsTenant", "t", json!({"groupId": null}), "groupId is immutable"),
        ("SecretsTenant", "t", json!({"clusterRef": {"name": "other"}}), "clusterRef is immutable"),
        ("SecretsProject", "p", json!({"id": 43}), "id is immutable"),
        (
            "SecretsProject",
            "p",
            json!({"defaultRoles": [{"accessLevel": "Owner", "verbs": ["Write"]}]}),
            "defaultRoles is written once",
        ),
        ("UserPolicy", "u", json!({"principal": {"user": {"id": 2}}}), "principal is immutable"),
        ("UserPolicy", "u", json!({"projectRef": {"name": "q"}}), "projectRef is immutable"),
        ("ManagedSecret", "ms", json!({"name": "B"}), "name is immutable"),
        ("ManagedSecret", "ms", json!({"projectRef": {"name": "q"}}), "projectRef is immutable"),
        ("SecretsProject", "p", json!({"scope": "Group"}), "scope is immutable"),
        ("SecretsProject", "p", json!({"tenantRef": {"name": "u"}}), "tenantRef is immutable"),
        ("DatabaseConnection", "db", json!({"mount": "other"}), "mount is immutable"),
        ("DatabaseConnection", "db", json!({"name": "other"}), "name is immutable"),
        ("DatabaseConnection", "db", json!({"clusterRef": {"name": "other"}}), "clusterRef is immutable"),
        ("DatabaseRole", "user", json!({"connectionRef": {"name": "other"}}), "connectionRef is immutable"),
        ("DatabaseRole", "user", json!({"static": {"username": "v"}}), "static.username is immutable"),
        (
            "DatabaseRole",
            "user",
            json!({"static": null, "ownerRole": "app"}),
            "static cannot be added or removed",
        ),
        ("OpenBaoCluster", "main", json!({"jwtAudience": null}), "jwtAudience is immutable"),
        ("OpenBaoCluster", "main", json!({"jwtAudience": "https://x"}), "jwtAudience is immutable"),
        ("SecretEngine", "e", json!({"path": "b"}), "path is immutable"),
        ("SecretEngine", "e", json!({"path": null}), "path is immutable"),
        ("SecretEngine", "e", json!({"type": "transit"}), "type is immutable"),
        ("AuthMethod", "m", json!({"path": "b"}), "path is immutable"),
        ("AuthMethod", "m", json!({"type": "cert"}), "type is immutable"),
    ];
    for (kind, name, change, sentence) in changes {
        let patch = json!({"spec": change});
        let refused = case.dynamic(kind)?.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        let text = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains(sentence), "{kind} {change}: {text}");
    }
    let fresh: Api<SecretsProject> = case.api();
    assert_eq!(fresh.get("p").await?.spec.id, 42);
    Ok(())
}

/// Every field with a URL, and a spec in which it has a value.
fn with_url(field: &str, url: &str) -> (&'static str, Value) {
    let login = json!({"jwt": {"role": "steamer", "audience": "a"}});
    match field {
        "connection" => ("BaoConnection", json!({"address": url, "allowPlaintext": true})),
        "address" => (
            "OpenBaoCluster",
            json!({"external": {"address": url, "allowPlaintext": true, "managementAuth": login}}),
        ),
        "additional" => (
            "OpenBaoCluster",
            json!({"external": {
                "address": "https://bao", "additionalAddresses": [url], "allowPlaintext": true, "managementAuth": login,
            }}),
        ),
        "external" => (
            "OpenBaoCluster",
            json!({"external": {"address": "https://bao", "managementAuth": login}, "externalUrl": url}),
        ),
        "discovery" => ("JWTIssuer", json!({"oidcDiscoveryUrl": url, "allowPlaintext": true})),
        _ => ("JWTIssuer", json!({"jwksUrl": url, "boundIssuer": "a", "allowPlaintext": true})),
    }
}

#[tokio::test]
async fn no_field_accepts_a_url_with_credentials_or_without_a_host() -> Result<()> {
    let case = Case::new("admission-urls").await?;
    let fields = ["connection", "address", "additional", "external", "discovery", "keys"];
    let wrong = [
        "bao:8200",
        "https://",
        "https://user:password@bao",
        "https://bao#a",
        "https://bao ",
        "https://b ao",
        "https://bao\n",
        "https://bao:99999",
        "https://bao:0",
        "ftp://bao",
        "https://-bao",
        "https://bao\\x",
    ];
    for (number, field) in fields.iter().enumerate() {
        for url in wrong {
            let (kind, spec) = with_url(field, url);
            let refused = case.object(kind, &format!("wrong{number}"), spec).await.err();
            let text = refused.with_context(|| format!("{field} accepts {url:?}"))?.to_string();
            assert!(text.contains("must be a URL"), "{field} {url:?}: {text}");
        }
        for url in
            ["https://bao", "http://bao.example.com:8200", "https://[fd00::1]:443", "https://10.0.0.1:65535"]
        {
            let (kind, spec) = with_url(field, url);
            case.object(kind, &format!("right{number}"), spec).await?;
        }
    }
    let keys = with_url("keys", "https://login.example.com/keys?p=policy");
    case.object(keys.0, "query", keys.1).await.map(drop)
}
