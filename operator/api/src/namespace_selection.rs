//! Selection of objects by their labels.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// Labels that an object must have. All requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)", "a selector requires matchLabels or matchExpressions"))]
pub struct LabelSelector {
    /// Labels and their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    #[x_kube(validation = rules::KEYS, validation = rules::LABEL_VALUES)]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements for labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// A requirement for a label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)", "the operators In and NotIn require values, and Exists and DoesNotExist have none"))]
pub struct LabelRequirement {
    /// Key of the label.
    #[schemars(
        length(min = 1, max = 317),
        regex(
            pattern = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
        )
    )]
    pub key: String,
    /// `In`: the value is one of `values`. `NotIn`: the label does not exist, or has another value. `Exists`: the label
    /// exists. `DoesNotExist`: the label does not exist.
    pub operator: LabelOperator,
    /// Values of the label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(max = 63), regex(pattern = r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$"))
    )]
    pub values: Vec<String>,
}

/// Comparison of a label with values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// The value is one of the values.
    In,
    /// The label does not exist, or has another value.
    NotIn,
    /// The label exists.
    #[default]
    Exists,
    /// The label does not exist.
    DoesNotExist,
}

impl LabelSelector {
    /// Returns whether labels meet all requirements. A selector without requirements matches nothing.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let is_empty = self.match_labels.is_empty() && self.match_expressions.is_empty();
        !is_empty
            && self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.holds(labels))
    }

    /// Returns the selector as the parameter `labelSelector` of a list.
    #[must_use]
    pub fn query(&self) -> String {
        let labels = self.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
        let expressions = self.match_expressions.iter().map(LabelRequirement::query);
        labels.chain(expressions).collect::<Vec<_>>().join(",")
    }
}

impl LabelRequirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let is_listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            LabelOperator::In => is_listed,
            LabelOperator::NotIn => !is_listed,
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }

    fn query(&self) -> String {
        let Self { key, operator, values } = self;
        match operator {
            LabelOperator::In => format!("{key} in ({})", values.join(",")),
            LabelOperator::NotIn => format!("{key} notin ({})", values.join(",")),
            LabelOperator::Exists => key.clone(),
            LabelOperator::DoesNotExist => format!("!{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::empty(json!({}), false)]
    #[case::label(json!({"matchLabels": {"team": "web"}}), true)]
    #[case::other_value(json!({"matchLabels": {"team": "db"}}), false)]
    #[case::one_of_two_labels(json!({"matchLabels": {"team": "web", "tier": "1"}}), false)]
    #[case::listed(json!({"matchExpressions": [{"key": "team", "operator": "In", "values": ["db", "web"]}]}), true)]
    #[case::not_listed(json!({"matchExpressions": [{"key": "team", "operator": "In", "values": ["db"]}]}), false)]
    #[case::missing_is_not_listed(json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["1"]}]}), false)]
    #[case::excluded(json!({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["web"]}]}), false)]
    #[case::missing_is_not_excluded(json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["1"]}]}), true)]
    #[case::exists(json!({"matchExpressions": [{"key": "team", "operator": "Exists"}]}), true)]
    #[case::does_not_exist(json!({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}), false)]
    #[case::all_must_hold(
        json!({"matchLabels": {"team": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}), false
    )]
    fn labels_are_compared_as_kubernetes_compares_them(#[case] selector: Value, #[case] expected: bool) {
        let selector: LabelSelector = serde_json::from_value(selector).unwrap();
        let labels = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
        assert_eq!(selector.matches(&labels), expected);
    }

    #[test]
    fn a_selector_has_the_form_of_a_query() {
        let requirement = |operator, values| json!({"key": "tier", "operator": operator, "values": values});
        let selector = json!({
            "matchLabels": {"team": "web", "app": "shop"},
            "matchExpressions": [
                requirement("In", json!(["1", "2"])), requirement("NotIn", json!(["3"])),
                requirement("Exists", json!([])), requirement("DoesNotExist", json!([])),
            ],
        });
        let selector: LabelSelector = serde_json::from_value(selector).unwrap();
        assert_eq!(selector.query(), "app=shop,team=web,tier in (1,2),tier notin (3),tier,!tier");
    }
}
