//! Validation rules (CEL) of the seal, built from one list of its types.

use kube::core::Rule;

/// Fields of a seal. Each is a type.
const TYPES: [&str; 8] =
    ["static", "transit", "kmip", "awsKms", "gcpKms", "azureKeyVault", "ociKms", "pkcs11"];

/// A seal has exactly one type.
pub(super) fn exactly_one_type() -> Rule {
    let set: Vec<String> = TYPES.map(|field| format!("has(self.{field})")).to_vec();
    let [others @ .., last] = &TYPES;
    Rule::new(format!("[{}].filter(x, x).size() == 1", set.join(", ")))
        .message(format!("seal requires exactly one of {} and {last}", others.join(", ")).as_str())
}

/// The type changes only to or from the seal in `sealMigration.from`.
pub(super) fn type_changes_only_by_migration() -> Rule {
    let unchanged = same_type("self.seal", "oldSelf.seal");
    let forward = same_type("self.sealMigration.from", "oldSelf.seal");
    let back = same_type("oldSelf.sealMigration.from", "self.seal");
    Rule::new(format!(
        "{unchanged} || (has(self.sealMigration) && {forward}) || (has(oldSelf.sealMigration) && {back})"
    ))
    .message(
        "the seal type cannot be changed without sealMigration: existing data could no longer be unsealed. To change it, put the current seal into sealMigration.from",
    )
}

/// `sealMigration.from` and `seal` have different types.
pub(super) fn migration_is_from_another_type() -> Rule {
    let same = same_type("self.sealMigration.from", "self.seal");
    Rule::new(format!("!has(self.sealMigration) || !{same}"))
        .message("sealMigration.from must be the previous seal, of another type than seal")
}

/// CEL expression: two seals have the same type.
fn same_type(one: &str, other: &str) -> String {
    let equal: Vec<String> =
        TYPES.map(|field| format!("has({one}.{field}) == has({other}.{field})")).to_vec();
    format!("[{}].all(x, x)", equal.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_compare_every_type() {
        let rule = migration_is_from_another_type().rule;
        println!("{}", type_changes_only_by_migration().rule);
        for field in TYPES {
            assert!(
                rule.contains(&format!("has(self.sealMigration.from.{field}) == has(self.seal.{field})")),
                "{rule}"
            );
        }
        assert!(exactly_one_type().rule.starts_with("[has(self.static), has(self.transit)"));
    }
}
