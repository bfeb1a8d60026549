//! Names of objects in Kubernetes.

use std::collections::BTreeMap;

use steamer_core::digest::digest;

use crate::resource::Place;

/// Longest name without its suffix. The limit of Kubernetes is 253, that of a label 63.
const LONGEST: usize = 54;
/// Hexadecimal digits of a suffix.
const SUFFIX: usize = 8;

/// Names of the objects by the place of their resources.
pub(crate) type Names = BTreeMap<Place, String>;

/// The names of the objects for all places. A name depends on the place. If two objects of one kind would have the same
/// name, those names of which a character was replaced get a suffix; if there is no other difference, all get one.
pub(crate) fn names(places: &[(&'static str, &Place)]) -> Vec<String> {
    let plain: Vec<String> = places.iter().map(|(_, place)| plain(place)).collect();
    let mut groups: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (index, ((kind, _), name)) in places.iter().zip(&plain).enumerate() {
        groups.entry((kind, name)).or_default().push(index);
    }
    let mut names = plain.clone();
    for group in groups.values().filter(|group| group.len() > 1) {
        let exact = |index: &usize| source(places[*index].1) == plain[*index];
        let kept =
            group.iter().copied().find(exact).filter(|_| group.iter().filter(|it| exact(it)).count() == 1);
        for index in group.iter().filter(|index| Some(**index) != kept) {
            names[*index] = suffixed(&plain[*index], places[*index].1);
        }
    }
    names
}

/// The parts of a place that distinguish it from others of its kind.
fn source(place: &Place) -> String {
    let parts = [&place.namespace, &place.mount, &place.name].into_iter().filter(|part| !part.is_empty());
    parts.map(String::as_str).collect::<Vec<_>>().join("-")
}

/// A DNS name for a place.
fn plain(place: &Place) -> String {
    let replaced = source(place).to_lowercase();
    let mut name = String::new();
    for character in replaced.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '-' }) {
        if character != '-' || !name.ends_with('-') {
            name.push(character);
        }
    }
    match name.trim_matches('-') {
        "" => format!("x-{}", &digest(source(place).as_bytes())[..SUFFIX]),
        short if short.len() <= LONGEST => short.to_owned(),
        long => suffixed(long, place),
    }
}

fn suffixed(name: &str, place: &Place) -> String {
    let start: String = name.chars().take(LONGEST).collect();
    let Place { class, namespace, mount, folder, name } = place;
    let identity = format!("{class:?}\n{namespace}\n{mount}\n{folder}\n{name}");
    format!("{}-{}", start.trim_end_matches('-'), &digest(identity.as_bytes())[..SUFFIX])
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::resource::Class;

    fn policy(namespace: &str, name: &str) -> Place {
        Place::new(Class::Policy, namespace, name)
    }

    fn named(places: &[Place]) -> Vec<String> {
        names(&places.iter().map(|place| ("BaoPolicy", place)).collect::<Vec<_>>())
    }

    #[rstest]
    #[case("", "app", "app")]
    #[case("", "my_policy", "my-policy")]
    #[case("", "team/App.read", "team-app-read")]
    #[case("org/team", "app", "org-team-app")]
    #[case("", "--a__b--", "a-b")]
    fn a_name_is_a_dns_name(#[case] namespace: &str, #[case] name: &str, #[case] expected: &str) {
        assert_eq!(named(&[policy(namespace, name)]), [expected]);
    }

    #[test]
    fn a_long_name_and_a_name_without_letters_have_a_suffix() {
        let names = named(&[policy("", &"a".repeat(100)), policy("", "ä"), policy("", "ö")]);
        assert!(names[0].starts_with(&"a".repeat(LONGEST)) && names[0].len() <= 63, "{names:?}");
        assert!(names[1].starts_with("x-") && names[1] != names[2], "{names:?}");
    }

    #[test]
    fn equal_names_of_one_kind_get_suffixes_and_an_exact_name_stays() {
        let names =
            named(&[policy("", "team-app"), policy("", "team/app"), policy("", "a_b"), policy("", "a.b")]);
        assert_eq!(names[0], "team-app");
        assert!(names[1].starts_with("team-app-") && names[2].starts_with("a-b-"), "{names:?}");
        assert_ne!(names[2], names[3]);
        let places = [policy("", "app"), Place::new(Class::Engine, "", "app")];
        assert_eq!(super::names(&[("BaoPolicy", &places[0]), ("SecretEngine", &places[1])]), ["app", "app"]);
    }

    #[test]
    fn two_splits_of_the_same_text_have_different_names() {
        let role = |mount: &str, name: &str| Place::new(Class::PkiRole, "", name).inside(mount, "roles");
        let names = named(&[role("a-b", "c"), role("a", "b-c")]);
        assert_ne!(names[0], names[1]);
        assert_eq!(names, named(&[role("a-b", "c"), role("a", "b-c")]));
    }
}
