//! Paths in the code of one file, without code for tests.

use anyhow::{Context, Result};
use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprCall, Item, ItemMod, ItemUse, Macro, Meta, MetaList, UseTree, Visibility};

/// The use of a path.
#[derive(Clone)]
pub(super) struct Mention {
    /// Names of the inline modules around the path.
    pub(super) scope: Vec<String>,
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
    pub(super) role: Role,
}

#[derive(Clone, PartialEq)]
pub(super) enum Role {
    Code,
    /// A `use` under this name. A glob has none.
    Import(Option<String>),
    /// A `use` that others see.
    ReExport(Option<String>),
}

/// Paths of a file, and its child modules that exist for tests only.
#[derive(Default)]
pub(super) struct Uses {
    pub(super) mentions: Vec<Mention>,
    pub(super) tests: Vec<Vec<String>>,
    scope: Vec<String>,
}

pub(super) fn read(file: &str, source: &str) -> Result<Uses> {
    let parsed = syn::parse_file(source).with_context(|| format!("cannot parse {file}"))?;
    let mut uses = Uses::default();
    uses.visit_file(&parsed);
    Ok(uses)
}

impl Uses {
    fn mention(&mut self, segments: Vec<String>, line: usize, role: Role) {
        self.mentions.push(Mention { scope: self.scope.clone(), segments, line, role });
    }

    /// A path of one segment is a use only where an import gives it a meaning, so names of variables do not count.
    fn code(&mut self, path: &[Ident]) {
        let Some(first) = path.first() else { return };
        let segments: Vec<String> = path.iter().map(name).collect();
        if segments.len() > 1 || segments[0].starts_with(char::is_uppercase) {
            self.mention(segments, first.span().start().line, Role::Code);
        }
    }

    fn import(&mut self, prefix: &[Ident], tree: &UseTree, role: fn(Option<String>) -> Role) {
        let mut path = prefix.to_vec();
        match tree {
            UseTree::Path(inner) => {
                path.push(inner.ident.clone());
                self.import(&path, &inner.tree, role);
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.import(&path, item, role)),
            UseTree::Name(leaf) => self.imported(path, &leaf.ident, role(None)),
            UseTree::Rename(leaf) => self.imported(path, &leaf.ident, role(Some(name(&leaf.rename)))),
            UseTree::Glob(_) => self.glob(&path, role(None)),
        }
    }

    fn imported(&mut self, mut path: Vec<Ident>, leaf: &Ident, role: Role) {
        if leaf != "self" {
            path.push(leaf.clone());
        }
        let last = path.last().map(name);
        let role = match role {
            Role::Import(None) => Role::Import(last),
            Role::ReExport(None) => Role::ReExport(last),
            renamed => renamed,
        };
        self.mention(path.iter().map(name).collect(), leaf.span().start().line, role);
    }

    fn glob(&mut self, path: &[Ident], role: Role) {
        if let Some(first) = path.first() {
            self.mention(path.iter().map(name).collect(), first.span().start().line, role);
        }
    }

    /// Macros are not parsed: every `a::b::C` in their tokens is a path.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<Ident> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) if colons == 2 && !path.is_empty() => {
                    path.push(ident);
                    colons = 0;
                }
                other => {
                    self.code(&std::mem::take(&mut path));
                    colons = 0;
                    match other {
                        TokenTree::Ident(ident) => path.push(ident),
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        self.code(&path);
    }
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        } else if let Item::Mod(module) = item {
            self.tests.push(self.scope.iter().cloned().chain([name(&module.ident)]).collect());
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.scope.push(name(&module.ident));
        visit::visit_item_mod(self, module);
        self.scope.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() {
            let shared = matches!(item.vis, Visibility::Public(_) | Visibility::Restricted(_));
            self.import(&[], &item.tree, if shared { Role::ReExport } else { Role::Import });
        }
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(function) = &*call.func
            && let Some(ident) = function.path.get_ident()
        {
            self.mention(vec![name(ident)], ident.span().start().line, Role::Code);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let idents: Vec<Ident> = path.segments.iter().map(|segment| segment.ident.clone()).collect();
            self.code(&idents);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        visit::visit_macro(self, call);
        self.tokens(call.tokens.clone());
    }

    fn visit_meta_list(&mut self, list: &'ast MetaList) {
        visit::visit_meta_list(self, list);
        self.tokens(list.tokens.clone());
    }

    /// A visibility such as `pub(in crate::a)` uses nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

fn name(ident: &Ident) -> String {
    ident.unraw().to_string()
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    let condition = list.tokens.to_string().replace(' ', "");
    list.path.is_ident("cfg") && (condition == "test" || condition.starts_with("all(test,"))
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
