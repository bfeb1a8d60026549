use rstest::rstest;
use serde_json::{Map, json};
use steamer_api::{DeletionPolicy, OpenBaoCluster, Property};
use steamer_core::mac::Mac;
use steamer_core::ownership::{Mark, Owner};
use steamer_openbao::NamespacePath;

use super::*;
use crate::general::desired::DesiredResource;

const POLICY: &str = "sys/policies/acl/web";

fn cluster() -> ObjectName {
    ObjectName::new("ns", "main")
}

fn claimed(path: &str) -> Claimed {
    Claimed { cluster: cluster(), namespace: NamespacePath::new("team"), path: path.to_owned() }
}

/// Rank of the object `ns/web` of a kind that was created in that second.
fn ranked(kind: KindId, hold: Hold, second: i64) -> Rank {
    (hold, (second, false, ObjectName::new("ns", "web")), kind)
}

fn claims_of(kind: KindId, hold: Hold, second: i64) -> (Rank, Claimant) {
    (ranked(kind, hold, second), Claimant { kind, name: ObjectName::new("ns", "web") })
}

#[rstest]
#[case::older(Hold::Wanted, 10, Hold::Wanted, 9, true)]
#[case::younger(Hold::Wanted, 10, Hold::Wanted, 11, false)]
#[case::younger_owner(Hold::Wanted, 10, Hold::Owned, 11, true)]
#[case::younger_that_has_announced(Hold::Wanted, 10, Hold::Announced, 11, true)]
#[case::older_than_the_owner(Hold::Owned, 10, Hold::Wanted, 9, false)]
#[case::older_that_has_announced(Hold::Owned, 10, Hold::Announced, 9, false)]
#[case::two_owners(Hold::Owned, 10, Hold::Owned, 9, true)]
#[case::same_second(Hold::Wanted, 10, Hold::Wanted, 10, false)]
fn the_owner_comes_first_and_then_the_oldest(
    #[case] own: Hold,
    #[case] created: i64,
    #[case] other: Hold,
    #[case] other_created: i64,
    #[case] precedes: bool,
) {
    let own = ranked(KindId::BaoPolicy, own, created);
    let found = first(&own, vec![claims_of(KindId::SecretsApp, other, other_created)]);
    assert_eq!(found.map(|it| it.kind), precedes.then_some(KindId::SecretsApp));
}

#[test]
fn the_first_of_several_rivals_is_named() {
    let rivals = vec![
        claims_of(KindId::SecretsApp, Hold::Wanted, 1),
        claims_of(KindId::IdentityGroup, Hold::Owned, 3),
        claims_of(KindId::DatabaseRole, Hold::Owned, 2),
    ];
    let found = first(&ranked(KindId::BaoPolicy, Hold::Wanted, 4), rivals);
    assert_eq!(found.map(|it| it.kind), Some(KindId::DatabaseRole));
    assert_eq!(first(&ranked(KindId::BaoPolicy, Hold::Wanted, 4), Vec::new()), None);
}

#[test]
fn exactly_one_of_two_objects_of_different_kinds_comes_first() {
    let holds = [Hold::Owned, Hold::Announced, Hold::Wanted];
    for (own, other) in holds.iter().flat_map(|own| holds.iter().map(move |other| (*own, *other))) {
        for second in 9..12 {
            let (app, policy) = (KindId::SecretsApp, KindId::BaoPolicy);
            let found = [
                first(&ranked(policy, own, 10), vec![claims_of(app, other, second)]),
                first(&ranked(app, other, second), vec![claims_of(policy, own, 10)]),
            ];
            assert_eq!(found.iter().flatten().count(), 1, "{own:?} {other:?} {second}");
        }
    }
}

#[rstest]
#[case::older(Hold::Wanted, 9, true)]
#[case::younger(Hold::Wanted, 11, false)]
#[case::younger_owner(Hold::Owned, 11, true)]
#[case::same_second(Hold::Wanted, 10, true)]
fn two_objects_of_one_kind_have_the_same_order(
    #[case] hold: Hold,
    #[case] second: i64,
    #[case] precedes: bool,
) {
    let (kind, name) = (KindId::BaoAuthRole, ObjectName::new("ns", "other"));
    let other = (hold, (second, false, name.clone()), kind);
    let own = ranked(kind, Hold::Wanted, 10);
    let found = [
        first(&own, vec![(other.clone(), Claimant { kind, name })]),
        first(&other, vec![claims_of(kind, Hold::Wanted, 10)]),
    ];
    assert_eq!(found.map(|it| it.is_some()), [precedes, !precedes]);
}

fn seal(name: &str) -> Seal {
    let owner = Owner::Object(KindId::SecretsApp);
    let mark = Mark { installation: "i".to_owned(), owner, name: ObjectName::new("ns", name) };
    Seal::new(&Mac::new(&[7; 32]), &mark)
}

fn entry(path: &str) -> OwnedResource {
    OwnedResource { path: path.to_owned(), ..OwnedResource::default() }
}

fn sealed(entry: OwnedResource, seal: &Seal) -> Footprint {
    let namespace = NamespacePath::new("team");
    seal.sealed(Footprint { cluster: cluster(), tenant: None, namespace, resources: vec![entry] })
}

#[rstest]
#[case::owned(entry(POLICY), Hold::Owned)]
#[case::other_case(entry("sys/policies/acl/Web"), Hold::Owned)]
#[case::announced(OwnedResource { pending: true, ..entry(POLICY) }, Hold::Announced)]
#[case::another(entry("sys/policies/acl/web-ops"), Hold::Wanted)]
#[case::part(OwnedResource { is_part: true, ..entry(POLICY) }, Hold::Wanted)]
fn the_record_names_the_owner_of_a_resource(#[case] recorded: OwnedResource, #[case] expected: Hold) {
    assert_eq!(hold(sealed(recorded, &seal("web")), &seal("web"), &claimed(POLICY)), expected);
}

#[rstest]
#[case::unchanged(|_: &mut Footprint| {}, Hold::Owned)]
#[case::other_cluster(|it: &mut Footprint| it.cluster = ObjectName::new("ns", "other"), Hold::Wanted)]
#[case::other_namespace(|it: &mut Footprint| it.namespace = NamespacePath::root(), Hold::Wanted)]
#[case::written_by_another_client(|it: &mut Footprint| it.resources[0].seal = None, Hold::Wanted)]
fn a_record_of_another_client_or_location_gives_no_right(
    #[case] change: fn(&mut Footprint),
    #[case] expected: Hold,
) {
    let mut record = sealed(entry(POLICY), &seal("web"));
    change(&mut record);
    assert_eq!(hold(record, &seal("web"), &claimed(POLICY)), expected);
    assert_eq!(hold(sealed(entry(POLICY), &seal("web")), &seal("other"), &claimed(POLICY)), Hold::Wanted);
}

#[rstest]
#[case::policy("sys/policies/acl/Team/Web", "sys/policies/acl/team/web")]
#[case::role("auth/JWT/role/Web", "auth/JWT/role/web")]
#[case::role_of_jobs("auth/gitea_jwt/role/Deploy", "auth/gitea_jwt/role/deploy")]
#[case::group("identity/group/name/Web", "identity/group/name/web")]
#[case::user("auth/ldap/users/Web", "auth/ldap/users/web")]
#[case::token_role("auth/token/roles/Web", "auth/token/roles/Web")]
#[case::mount("sys/mounts/KV", "sys/mounts/KV")]
#[case::database_role("Postgres/roles/Web", "Postgres/roles/Web")]
fn names_that_openbao_does_not_distinguish_have_one_path(#[case] path: &str, #[case] expected: &str) {
    assert_eq!(folded(path), expected);
}

fn desired(resources: Vec<Resource>, owned: &[OwnedResource]) -> Desired {
    let spec = json!({"external": {
        "address": "https://bao:8200", "managementAuth": {"jwt": {"audience": "https://bao:8200"}},
    }});
    let mut cluster = OpenBaoCluster::new("main", serde_json::from_value(spec).unwrap());
    cluster.metadata.namespace = Some("ns".to_owned());
    let home = Home { cluster: Arc::new(cluster), namespace: NamespacePath::new("team") };
    let owned = Some(record::located(&home, owned.to_vec()));
    let resources = resources.into_iter().map(|resource| DesiredResource { resource, digest: String::new() });
    Desired {
        home,
        resources: resources.collect(),
        owned,
        deletion_policy: DeletionPolicy::Retain,
        root: NamespacePath::root(),
        seal: seal("web"),
        deletion: |_, _| Box::pin(async { Ok(()) }),
    }
}

#[rstest]
#[case::nothing_else(&[], &[(POLICY, Basis::Spec), ("former", Basis::Record)])]
#[case::computed_too(&[POLICY], &[(POLICY, Basis::Spec), ("former", Basis::Record)])]
#[case::withdrawn(&["role"], &[(POLICY, Basis::Spec), ("role", Basis::Spec), ("former", Basis::Record)])]
#[case::recorded_too(&["former"], &[(POLICY, Basis::Spec), ("former", Basis::Spec)])]
fn an_object_claims_what_its_spec_contains_and_what_its_status_still_records(
    #[case] determined: &[&str],
    #[case] expected: &[(&str, Basis)],
) {
    let policy = Resource::at("policy web", POLICY, Map::new());
    let part = Resource { deleted_at: None, ..Resource::at("part", "sys/mounts/kv/tune", Map::new()) };
    let owned = [entry(POLICY), entry("former"), OwnedResource { is_part: true, ..entry("former/config") }];
    let determined = determined.iter().map(|path| claimed(path)).collect();
    let claims = stated(&desired(vec![policy, part], &owned), determined);
    let expected: Vec<_> = expected.iter().map(|(path, basis)| (claimed(path), *basis)).collect();
    assert_eq!(claims, expected);
}

#[test]
fn a_conflict_names_the_object_that_comes_first() {
    let (_, app) = claims_of(KindId::SecretsApp, Hold::Owned, 1);
    let policy = Resource::at("policy web", POLICY, Map::new());
    assert_eq!(
        conflict(&app, &policy, &claimed(POLICY)).to_string(),
        "SecretsApp ns/web already claims policy web (sys/policies/acl/web) of namespace team in OpenBaoCluster ns/main: delete one \
         of the two objects"
    );
}

/// PKIIssuer is on the engine without `General`. No other kind has the paths of issuers and keys, a SecretEngine of type `pki`
/// refuses the path of the default issuer, and PKIIssuer itself compares the settings of the mount that both can have.
#[test]
fn every_kind_that_records_its_resources_is_compared() {
    let owning = KindId::ALL.iter().filter(|kind| kind.is(Property::Owning) && **kind != KindId::PKIIssuer);
    assert!(owning.eq(GENERAL));
}
