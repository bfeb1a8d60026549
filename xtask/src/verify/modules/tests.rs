use super::*;

/// Limit of the number of modules in [`ALLOWED_CYCLES`]. Lower it with every removed entry; never raise it.
const MOST_ALLOWED: usize = 0;

fn crate_of(files: &[(&str, &str)]) -> Vec<Module> {
    files
        .iter()
        .map(|(path, source)| Module {
            path: path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            file: if path.is_empty() {
                "lib.rs".to_owned()
            } else {
                format!("{}.rs", path.replace("::", "/"))
            },
            source: (*source).to_owned(),
        })
        .collect()
}

fn found(files: &[(&str, &str)]) -> Vec<String> {
    cycles(&crate_of(files)).unwrap().into_iter().map(|cycle| cycle.text).collect()
}

#[test]
fn the_list_of_allowed_cycles_only_shrinks() {
    let listed: usize = ALLOWED_CYCLES.iter().map(|(_, modules, _)| modules.len()).sum();
    assert_eq!(listed, MOST_ALLOWED);
    assert!(ALLOWED_CYCLES.iter().all(|(.., reason)| !reason.is_empty()), "an entry states no reason");
}

#[test]
fn two_modules_that_use_each_other_form_a_cycle() {
    let files = [("", "mod a; mod b;"), ("a", "\nuse crate::b::X;"), ("b", "fn f() { crate::a::g() }")];
    assert_eq!(found(&files), ["a -> b -> a (a.rs:2 uses crate::b::X; b.rs:1 uses crate::a::g)"]);
}

#[test]
fn uses_in_one_direction_form_no_cycle() {
    let files = [("", "mod a; mod b; use a::f;"), ("a", "use super::b::{self, X}; use std::fmt;"), ("b", "")];
    assert_eq!(found(&files), Vec::<String>::new());
}

#[test]
fn a_parent_and_a_child_that_use_each_other_form_a_cycle() {
    let files = [
        ("", "mod parent;"),
        ("parent", "mod child; struct Shared; fn f() { child::g() }"),
        ("parent::child", "use super::Shared;"),
    ];
    let expected = "parent -> parent::child -> parent (parent.rs:1 uses crate::parent::child::g; \
                    parent/child.rs:1 uses crate::parent::Shared)";
    assert_eq!(found(&files), [expected]);
}

#[test]
fn a_re_export_of_a_child_is_no_use_but_code_that_uses_it_is() {
    let child = ("child", "use super::Other;");
    let exported = "mod child; pub use child::X; pub(crate) use child::*; struct Other;";
    assert_eq!(found(&[("", exported), child]), Vec::<String>::new());
    let used = format!("{exported} fn f(_: X) {{}}");
    assert_eq!(found(&[("", &used), child]).len(), 1);
}

#[test]
fn a_re_export_of_another_module_is_a_use() {
    assert_eq!(found(&[("a", "pub use crate::b::X;"), ("b", "use crate::a::Y;")]).len(), 1);
}

#[test]
fn paths_in_macros_and_through_imports_are_uses() {
    let b = ("b::inner", "use crate::a::Y;");
    let in_macro = ("a", r#"fn f() { format!("{}", crate::b::inner::X::new()) }"#);
    assert_eq!(found(&[in_macro, ("b", ""), b]).len(), 1);
    let through_import = ("a", "use crate::b; fn f() { b::inner::g() }");
    assert_eq!(found(&[through_import, ("b", ""), b]).len(), 1);
}

#[test]
fn comments_strings_and_tests_use_nothing() {
    let a = "// crate::b::X\n/// [`crate::b::X`]\nconst TEXT: &str = \"crate::b::X\";
        #[cfg(test)] use crate::b::X;
        #[cfg(test)] mod tests { use crate::b::X; }
        #[cfg(test)] mod fixture;";
    let files = [
        ("a", a),
        ("a::fixture", "use crate::b::X;"),
        ("b", "use crate::a::Y;"),
        ("b::tests", "use crate::c::Z;"),
        ("c", "use crate::b::tests;"),
    ];
    assert_eq!(found(&files), Vec::<String>::new());
}

#[test]
fn a_cycle_of_many_modules_is_reported_once_with_its_shortest_part() {
    let files = [
        ("a", "use crate::b::X;"),
        ("b", "use crate::c::X; use crate::a::X;"),
        ("c", "use crate::a::X; use crate::c::own;"),
    ];
    let found = found(&files);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("a -> b -> a ("), "{found:?}");
    assert!(found[0].ends_with("other modules of the same cycle: c"), "{found:?}");
}

#[test]
fn an_allowed_cycle_passes_and_an_entry_without_a_cycle_does_not() {
    let files = [("a", "use crate::b::X;"), ("b", "use crate::a::Y;")];
    let cycles = cycles(&crate_of(&files)).unwrap();
    assert_eq!(judged("it", &cycles, &[]).len(), 1);
    assert_eq!(judged("it", &cycles, &[("other", &["a", "b"], "reason")]).len(), 1);
    assert_eq!(judged("it", &cycles, &[("it", &["a", "b"], "reason")]), Vec::<String>::new());
    let stale = judged("it", &cycles, &[("it", &["a", "b", "c"], "reason")]);
    assert_eq!(stale.len(), 1);
    assert!(stale[0].contains("a cycle of c in it which no longer exists: remove it"), "{stale:?}");
    assert_eq!(judged("it", &[], &[("it", &["a", "b"], "reason")]).len(), 1);
}

#[test]
fn the_root_of_a_crate_has_no_name() {
    assert_eq!(module_path(Path::new("lib")), Vec::<String>::new());
    assert_eq!(module_path(Path::new("main")), Vec::<String>::new());
    assert_eq!(module_path(Path::new("a/mod")), ["a"]);
    assert_eq!(module_path(Path::new("a/lib")), ["a", "lib"]);
}
