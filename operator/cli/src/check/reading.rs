//! Reads the facts.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, ResourceRule, SelfSubjectRulesReview, SelfSubjectRulesReviewSpec,
    SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{Api, ListParams, PostParams};
use steamer_api::{GROUP, KindId, OpenBaoCluster, VERSION, definitions};
use steamer_runtime::ObjectName;

use super::facts::{Facts, Operator, Own, Review};
use crate::connection::{Cluster, is_missing_kind};
use crate::lists::{Answer, lists};

/// Name of the leader lease.
const LEASE: &str = "steamer";
/// Verbs of a reader and of a writer.
const VERBS: [&[&str]; 2] = [&["get", "list"], &["create", "patch"]];

/// The facts about the cluster.
///
/// # Errors
/// When the API server does not answer.
pub(super) async fn facts(cluster: &Cluster) -> Result<Facts> {
    let version = cluster.client.apiserver_version().await.map_err(|error| cluster.refusal(error))?;
    let served = served(cluster).await?;
    let clusters = match lists::<OpenBaoCluster>(cluster, &[KindId::OpenBaoCluster], None).await {
        Ok(mut found) => match found.pop().map(|listed| listed.answer) {
            Some(Answer::Objects(clusters)) => Some(clusters),
            _ => None,
        },
        Err(_) => None,
    };
    let operators = operators(cluster).await?;
    let reviews = reviews(cluster, operators.as_deref(), clusters.as_deref()).await?;
    Ok(Facts {
        kubernetes: version.git_version,
        different: different(cluster).await?,
        own: own(cluster).await?,
        served,
        operators,
        clusters,
        reviews,
    })
}

/// The result of a request that you may be denied.
fn permitted<T>(cluster: &Cluster, result: Result<T, kube::Error>) -> Result<Option<T>> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        result => result.map(Some).map_err(|error| cluster.refusal(error)),
    }
}

async fn served(cluster: &Cluster) -> Result<Vec<KindId>> {
    match cluster.client.list_api_group_resources(&format!("{GROUP}/{VERSION}")).await {
        Err(kube::Error::Api(status)) if is_missing_kind(&status) => Ok(Vec::new()),
        Err(error) => Err(cluster.refusal(error)),
        Ok(found) => {
            Ok(found.resources.iter().filter_map(|resource| KindId::parse(&resource.kind)).collect())
        }
    }
}

async fn different(cluster: &Cluster) -> Result<Option<Vec<KindId>>> {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let Some(found) = permitted(cluster, api.list(&ListParams::default()).await)? else { return Ok(None) };
    let schema = |definition: &CustomResourceDefinition| {
        let version = definition.spec.versions.iter().find(|version| version.name == VERSION);
        serde_json::to_value(version.map(|version| &version.schema)).ok()
    };
    let installed: BTreeMap<String, _> = found
        .iter()
        .filter(|it| it.spec.group == GROUP)
        .map(|it| (it.spec.names.kind.clone(), schema(it)))
        .collect();
    let differs = |own: &CustomResourceDefinition| {
        let kind = &own.spec.names.kind;
        let installed = installed.get(kind)?;
        (*installed != schema(own)).then(|| KindId::parse(kind)).flatten()
    };
    Ok(Some(definitions().iter().filter_map(differs).collect()))
}

async fn operators(cluster: &Cluster) -> Result<Option<Vec<Operator>>> {
    let api: Api<Deployment> = Api::all(cluster.client.clone());
    let labels = ListParams::default().labels("app.kubernetes.io/name=steamer");
    let Some(found) = permitted(cluster, api.list(&labels).await)? else { return Ok(None) };
    let mut operators = Vec::new();
    for deployment in found {
        let lease = lease(cluster, &deployment.namespace().unwrap_or_default()).await?;
        operators.push(operator(&deployment, lease));
    }
    Ok(Some(operators))
}

async fn lease(cluster: &Cluster, namespace: &str) -> Result<Option<Lease>> {
    let found = cluster.api_in::<Lease>(namespace).get_opt(LEASE).await;
    Ok(permitted(cluster, found)?.flatten())
}

fn operator(deployment: &Deployment, lease: Option<Lease>) -> Operator {
    let (spec, status) = (deployment.spec.as_ref(), deployment.status.as_ref());
    let pod = spec.and_then(|spec| spec.template.spec.as_ref());
    let lease = lease.and_then(|lease| lease.spec);
    let leader = lease.as_ref().and_then(|lease| {
        let renewed = lease.renew_time.as_ref()?.0.as_second();
        let holder = lease.holder_identity.clone().filter(|holder| !holder.is_empty())?;
        Some((holder, Timestamp::now().as_second().saturating_sub(renewed)))
    });
    Operator {
        name: ObjectName::of(deployment).to_string(),
        namespace: deployment.namespace().unwrap_or_default(),
        account: pod.and_then(|pod| pod.service_account_name.clone()).unwrap_or_else(|| "default".to_owned()),
        image: pod
            .and_then(|pod| pod.containers.first()?.image.clone())
            .unwrap_or_else(|| "without an image".to_owned()),
        ready: status.and_then(|status| status.ready_replicas).unwrap_or(0),
        desired: spec.and_then(|spec| spec.replicas).unwrap_or(1),
        leader,
        lease: lease.and_then(|lease| lease.lease_duration_seconds).unwrap_or(15).into(),
    }
}

async fn own(cluster: &Cluster) -> Result<Own> {
    let namespace = cluster.namespace.clone();
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.clone()) };
    let review = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
    let api: Api<SelfSubjectRulesReview> = Api::all(cluster.client.clone());
    let answer = api.create(&PostParams::default(), &review).await.map_err(|error| cluster.refusal(error))?;
    let rules = answer.status.map(|status| status.resource_rules).unwrap_or_default();
    let [readable, writable] = VERBS.map(|verbs| permitted_kinds(&rules, verbs));
    Ok(Own { namespace, readable, writable })
}

/// Kinds for which the rules permit all verbs.
fn permitted_kinds(rules: &[ResourceRule], verbs: &[&str]) -> Vec<KindId> {
    let has = |list: &[String], name: &str| list.iter().any(|it| it == "*" || it == name);
    let permits = |rule: &ResourceRule, plural: &str, verb: &str| {
        let unlimited = rule.resource_names.as_ref().is_none_or(Vec::is_empty);
        unlimited
            && has(&rule.verbs, verb)
            && has(rule.api_groups.as_deref().unwrap_or_default(), GROUP)
            && has(rule.resources.as_deref().unwrap_or_default(), plural)
    };
    let is_permitted = |kind: &KindId| {
        let plural = kind.plural();
        verbs.iter().all(|verb| rules.iter().any(|rule| permits(rule, &plural, verb)))
    };
    KindId::ALL.iter().copied().filter(is_permitted).collect()
}

/// Rights that the operator needs where clusters are, and that OpenBao needs to review tokens.
async fn reviews(
    cluster: &Cluster,
    operators: Option<&[Operator]>,
    clusters: Option<&[OpenBaoCluster]>,
) -> Result<Vec<Review>> {
    let mut reviews = Vec::new();
    let clusters = clusters.unwrap_or_default();
    let namespaces: std::collections::BTreeSet<String> =
        clusters.iter().filter_map(ResourceExt::namespace).collect();
    let is_single = operators.is_some_and(|operators| operators.len() == 1);
    for operator in operators.unwrap_or_default().iter().filter(|_| is_single) {
        let user = account(&operator.namespace, &operator.account);
        for namespace in &namespaces {
            for (verb, group, resource) in
                [("get", "", "secrets"), ("patch", GROUP, "openbaoclusters/status")]
            {
                let advice = "install the roles of the chart, and include the namespace in watchNamespaces if it is set";
                reviews.push(review(cluster, &user, (verb, group, resource, Some(namespace)), advice).await?);
            }
        }
    }
    for object in
        clusters.iter().filter(|it| it.spec.managed.as_ref().is_some_and(|managed| managed.token_review))
    {
        let user = account(&object.namespace().unwrap_or_default(), &object.name_any());
        let right = ("create", "authentication.k8s.io", "tokenreviews", None);
        let advice = "permit tokenReview in the chart, or bind the ClusterRole system:auth-delegator";
        reviews.push(review(cluster, &user, right, advice).await?);
    }
    Ok(reviews)
}

fn account(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// Verb, API group, resource and namespace.
type Right<'a> = (&'a str, &'a str, &'a str, Option<&'a String>);

async fn review(cluster: &Cluster, user: &str, right: Right<'_>, advice: &str) -> Result<Review> {
    let (verb, group, resource, namespace) = right;
    let (name, subresource) =
        resource.split_once('/').map_or((resource, None), |(a, b)| (a, Some(b.to_owned())));
    let attributes = ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(name.to_owned()),
        subresource,
        namespace: namespace.cloned(),
        ..ResourceAttributes::default()
    };
    let of_namespace = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split(':').next());
    let groups = ["system:authenticated".to_owned(), "system:serviceaccounts".to_owned()].into_iter();
    let groups = groups.chain(of_namespace.map(|namespace| format!("system:serviceaccounts:{namespace}")));
    let spec = SubjectAccessReviewSpec {
        user: Some(user.to_owned()),
        groups: Some(groups.collect()),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(cluster.client.clone());
    let request = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let answer = permitted(cluster, api.create(&PostParams::default(), &request).await)?;
    let place = namespace.map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    Ok(Review {
        user: user.to_owned(),
        right: format!("{verb} {resource}{place}"),
        advice: advice.to_owned(),
        allowed: answer.map(|answer| answer.status.is_some_and(|status| status.allowed)),
    })
}
