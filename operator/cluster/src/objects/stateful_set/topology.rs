//! Distribution of the pods over zones and machines.

use k8s_openapi::api::core::v1::{
    Affinity, PodAffinityTerm, PodAntiAffinity, TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use steamer_api::{Spread, Topology};

use crate::cluster::Cluster;
use crate::objects::pods;

/// Keeps the pods of a cluster on different machines.
pub(super) fn affinity(cluster: &Cluster) -> Option<Affinity> {
    let Topology { spread, required } = cluster.spec.topology;
    let apart = if required { always_apart(cluster) } else { preferably_apart(cluster) };
    let affinity = Affinity { pod_anti_affinity: Some(apart), ..Affinity::default() };
    (spread != Spread::None).then_some(affinity)
}

fn always_apart(cluster: &Cluster) -> PodAntiAffinity {
    PodAntiAffinity {
        required_during_scheduling_ignored_during_execution: Some(vec![on_one_machine(cluster)]),
        ..PodAntiAffinity::default()
    }
}

fn preferably_apart(cluster: &Cluster) -> PodAntiAffinity {
    let term = WeightedPodAffinityTerm { weight: 100, pod_affinity_term: on_one_machine(cluster) };
    PodAntiAffinity {
        preferred_during_scheduling_ignored_during_execution: Some(vec![term]),
        ..PodAntiAffinity::default()
    }
}

fn on_one_machine(cluster: &Cluster) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: "kubernetes.io/hostname".to_owned(),
        label_selector: Some(pods(cluster)),
        ..PodAffinityTerm::default()
    }
}

/// Distributes the pods of a cluster over zones. The scheduler ignores this constraint on machines without a zone.
pub(super) fn spread(cluster: &Cluster) -> Option<Vec<TopologySpreadConstraint>> {
    let Topology { spread, required } = cluster.spec.topology;
    let constraint = TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "topology.kubernetes.io/zone".to_owned(),
        when_unsatisfiable: if required { "DoNotSchedule" } else { "ScheduleAnyway" }.to_owned(),
        label_selector: Some(pods(cluster)),
        ..TopologySpreadConstraint::default()
    };
    (spread == Spread::Zones).then(|| vec![constraint])
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::tests::cluster_with;

    #[rstest]
    #[case::default(json!({}), "preferred ScheduleAnyway")]
    #[case::hosts(json!({"spread": "Hosts"}), "preferred")]
    #[case::none(json!({"spread": "None"}), "")]
    #[case::required_zones(json!({"required": true}), "required DoNotSchedule")]
    #[case::required_hosts(json!({"spread": "Hosts", "required": true}), "required")]
    #[case::nothing_required(json!({"spread": "None", "required": true}), "")]
    fn a_pod_stays_pending_only_if_the_spec_requires_it(#[case] topology: Value, #[case] expected: &str) {
        let cluster = cluster_with(json!({"topology": topology}));
        let apart = affinity(&cluster).and_then(|affinity| affinity.pod_anti_affinity).unwrap_or_default();
        let is_required = apart.required_during_scheduling_ignored_during_execution.is_some();
        let is_preferred = apart.preferred_during_scheduling_ignored_during_execution.is_some();
        let zones = spread(&cluster).into_iter().flatten().map(|zone| zone.when_unsatisfiable);
        let words = [(is_required, "required"), (is_preferred, "preferred")];
        let mut words: Vec<String> =
            words.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word.to_owned()).collect();
        words.extend(zones);
        assert_eq!(words.join(" "), expected);
    }
}
