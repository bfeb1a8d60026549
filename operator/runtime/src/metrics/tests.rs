use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// A metric of each description has a value.
fn complete() -> Metrics {
    let (metrics, cluster) = (Metrics::default(), ObjectName::new("openbao", "main"));
    metrics.leads();
    let state = ObjectState { kind: "BaoAuth", ready: "True".to_owned(), reason: "Applied".to_owned() };
    metrics.objects(BTreeMap::from([(state, 3)]));
    metrics.reconciled("baoauth", "applied", Duration::from_millis(3));
    metrics.waited("baoauth", Duration::from_millis(3));
    metrics.failed("baoauth", Reason::Invalid);
    metrics.waiting("baoauth", 2);
    metrics.panicked("BaoAuth");
    metrics.delivered(1.0);
    metrics.value_fresh("baostaticsecret", &cluster, Reading { read: 10, due: 70 });
    metrics.openbao_answered("read", Duration::from_millis(3));
    let nodes = NodeCounts { desired: 3, serving: 2, leader_changes: 7 };
    metrics.clusters(vec![ClusterState {
        name: cluster.clone(),
        version: Some("2.7.2".to_owned()),
        conditions: vec![["Unsealed", "True", "Applied"].map(str::to_owned)],
        orphans: 4,
        nodes: Some(nodes),
    }]);
    metrics.fenced(&cluster);
    metrics.took_over(&cluster, Duration::from_secs(1));
    metrics.lock_age(&cluster, Some(0.5));
    metrics.database_connections(&cluster, 12, 100);
    metrics.certificate_ends(&cluster, 100);
    metrics.relays(&cluster, 2);
    metrics.restore_drill(&cluster, true, Some(100));
    metrics
}

/// Name and labels of a line of the export. The suffixes and the label of a histogram are omitted.
fn sample(line: &str) -> (String, BTreeSet<String>) {
    let (series, _) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let is_histogram =
        |suffix: &&str| name.strip_suffix(*suffix).is_some_and(|name| name.ends_with("_seconds"));
    let name = match ["_bucket", "_sum", "_count"].iter().find(|suffix| is_histogram(suffix)) {
        Some(suffix) => name.strip_suffix(suffix).unwrap(),
        None => name,
    };
    let keys = labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
    (name.to_owned(), keys.filter(|key| key != "le").collect())
}

#[test]
fn every_metric_is_described_with_its_labels() {
    let metrics = complete();
    let text = metrics.text();
    let seen: BTreeSet<_> = text.lines().filter(|line| !line.starts_with('#')).map(sample).collect();
    let described: BTreeSet<_> = metrics
        .descriptions()
        .iter()
        .map(|metric| (metric.name.clone(), metric.labels.iter().map(|label| (*label).to_owned()).collect()))
        .collect();
    assert_eq!(seen, described);
}

#[test]
fn a_description_states_name_type_and_meaning() {
    for metric in Metrics::default().descriptions() {
        let unit_is_last = !metric.help.is_empty() && !metric.help.ends_with('.');
        assert!(unit_is_last, "{}: Prometheus adds the period", metric.name);
        assert_eq!(metric.name.ends_with("_total"), metric.kind == "counter", "{}", metric.name);
        assert_eq!(
            metric.name.starts_with("process_"),
            !metric.name.starts_with("steamer_"),
            "{}",
            metric.name
        );
    }
}

#[test]
fn the_states_of_clusters_and_objects_are_replaced() {
    let metrics = complete();
    let has = |text: &str| metrics.text().contains(text);
    assert!(has("steamer_cluster_leader_changes_total{namespace=\"openbao\",name=\"main\"} 7"));
    assert!(has("steamer_objects{kind=\"BaoAuth\",ready=\"True\",reason=\"Applied\"} 3"));
    metrics.objects(BTreeMap::new());
    metrics.clusters(Vec::new());
    metrics.forget_cluster(&ObjectName::new("openbao", "main"));
    assert!(!has("name=\"main\"") && !has("kind=\"BaoAuth\",ready"));
}

#[test]
fn state_is_read_before_each_export() {
    let metrics = Metrics::default();
    metrics.before_export(|metrics| metrics.waiting("late", 5));
    assert!(metrics.text().contains("steamer_queue_waiting{controller=\"late\"} 5"));
}
