//! Tokens to definitions: text, control structures and nested definitions.

use std::sync::Arc;

use super::node::{Branch, Definition, Node, Pipeline};
use super::token::{Keyword, Kind, Token};
use super::{lexer, literal};
use crate::error::{Error, Fault, Source};

/// Longest text of a template.
const LENGTH: usize = 1 << 20;
/// Levels of blocks and parentheses.
const DEPTH: usize = 60;

/// The template of a source, followed by the definitions in it.
pub(crate) fn parse(source: Source) -> Result<Vec<Definition>, Error> {
    let source = Arc::new(source);
    if source.text.len() > LENGTH {
        return Err(Fault::Limit("the template is longer than 1 MiB").at(&source, 0));
    }
    let tokens = lexer::tokens(&source.text).map_err(|(at, message)| Fault::new(message).at(&source, at))?;
    let mut parser = Parser::new(source, tokens);
    let body = parser.root()?;
    let root = Definition { name: parser.source.name.clone(), source: parser.source.clone(), body };
    parser.add(root)?;
    Ok(parser.definitions)
}

pub(super) struct Parser {
    pub(super) source: Arc<Source>,
    tokens: Vec<Token>,
    position: usize,
    pub(super) variables: Vec<String>,
    ranges: usize,
    depth: usize,
    definitions: Vec<Definition>,
}

/// End of a list of nodes.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Stop {
    End,
    Else,
    Eof,
}

impl Parser {
    fn new(source: Arc<Source>, tokens: Vec<Token>) -> Self {
        let variables = vec!["$".to_owned()];
        Self { source, tokens, position: 0, variables, ranges: 0, depth: 0, definitions: Vec::new() }
    }

    pub(super) fn peek(&self) -> Token {
        let end = self.source.text.len();
        let last = Token { kind: Kind::End, start: end, end };
        self.tokens.get(self.position).copied().unwrap_or(last)
    }

    pub(super) fn next(&mut self) -> Token {
        let token = self.peek();
        self.position += 1;
        token
    }

    pub(super) fn back(&mut self) {
        self.position -= 1;
    }

    pub(super) fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next();
        }
    }

    pub(super) fn next_non_space(&mut self) -> Token {
        self.skip_space();
        self.next()
    }

    pub(super) fn slice(&self, token: Token) -> &str {
        &self.source.text[token.start..token.end]
    }

    pub(super) fn fail<T>(&self, token: Token, message: &'static str) -> Result<T, Error> {
        Err(Fault::new(message).at(&self.source, token.start))
    }

    pub(super) fn enter(&mut self, token: Token) -> Result<(), Error> {
        self.depth += 1;
        if self.depth <= DEPTH {
            return Ok(());
        }
        Err(Fault::Limit("the template has too many nested blocks or parentheses")
            .at(&self.source, token.start))
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    fn expect_close(&mut self) -> Result<(), Error> {
        let token = self.next_non_space();
        if token.kind == Kind::Close { Ok(()) } else { self.fail(token, "expected the end of the action") }
    }

    fn root(&mut self) -> Result<Vec<Node>, Error> {
        let (nodes, stop) = self.list()?;
        if stop == Stop::Eof { Ok(nodes) } else { self.fail(self.peek(), "unexpected {{end}} or {{else}}") }
    }

    /// Nodes up to `end`, `else` or the end of the text.
    fn list(&mut self) -> Result<(Vec<Node>, Stop), Error> {
        let mut nodes = Vec::new();
        loop {
            let token = self.next();
            match token.kind {
                Kind::End => return Ok((nodes, Stop::Eof)),
                Kind::Text => nodes.push(Node::Text { text: self.slice(token).to_owned() }),
                _ => match self.action()? {
                    Parsed::Node(node) => nodes.push(node),
                    Parsed::Nothing => {}
                    Parsed::Stop(stop) => return Ok((nodes, stop)),
                },
            }
        }
    }

    fn action(&mut self) -> Result<Parsed, Error> {
        let token = self.next_non_space();
        let Kind::Keyword(keyword) = token.kind else {
            self.back();
            return Ok(Parsed::Node(Node::Action(self.pipeline(Context::Command)?)));
        };
        Ok(match keyword {
            Keyword::Block => Parsed::Node(self.block(token)?),
            Keyword::Break => Parsed::Node(self.jump(token, Node::Break)?),
            Keyword::Continue => Parsed::Node(self.jump(token, Node::Continue)?),
            Keyword::Define => self.define(token)?,
            Keyword::Else => self.otherwise()?,
            Keyword::End => self.end()?,
            Keyword::If | Keyword::Range | Keyword::With => Parsed::Node(self.control(keyword, token)?),
            Keyword::Template => Parsed::Node(self.template(token)?),
        })
    }

    fn end(&mut self) -> Result<Parsed, Error> {
        self.expect_close()?;
        Ok(Parsed::Stop(Stop::End))
    }

    /// `else` alone, or before `if` or `with`, which the enclosing block reads.
    fn otherwise(&mut self) -> Result<Parsed, Error> {
        self.skip_space();
        if !matches!(self.peek().kind, Kind::Keyword(Keyword::If | Keyword::With)) {
            self.expect_close()?;
        }
        Ok(Parsed::Stop(Stop::Else))
    }

    fn jump(&mut self, token: Token, node: Node) -> Result<Node, Error> {
        self.expect_close()?;
        if self.ranges == 0 {
            self.fail(token, "{{break}} or {{continue}} outside {{range}}")
        } else {
            Ok(node)
        }
    }

    fn control(&mut self, keyword: Keyword, token: Token) -> Result<Node, Error> {
        self.enter(token)?;
        let mark = self.variables.len();
        let is_range = keyword == Keyword::Range;
        let pipeline = self.pipeline(if is_range { Context::Range } else { Context::Command })?;
        self.ranges += usize::from(is_range);
        let (body, stop) = self.list()?;
        self.ranges -= usize::from(is_range);
        let otherwise = match stop {
            Stop::End => Vec::new(),
            Stop::Else => self.else_of(keyword)?,
            Stop::Eof => return self.unexpected_end(),
        };
        self.variables.truncate(mark);
        self.leave();
        let branch = Branch { pipeline, body, otherwise };
        Ok(match keyword {
            Keyword::Range => Node::Range(branch),
            Keyword::With => Node::With(branch),
            _ => Node::If(branch),
        })
    }

    fn else_of(&mut self, keyword: Keyword) -> Result<Vec<Node>, Error> {
        let token = self.peek();
        if token.kind == Kind::Keyword(keyword) && keyword != Keyword::Range {
            self.next();
            return Ok(vec![self.control(keyword, token)?]);
        }
        if matches!(token.kind, Kind::Keyword(_)) {
            return self.fail(token, "this block cannot continue with this {{else}}");
        }
        let (nodes, stop) = self.list()?;
        match stop {
            Stop::End => Ok(nodes),
            Stop::Else => self.fail(token, "expected {{end}}, found {{else}}"),
            Stop::Eof => self.unexpected_end(),
        }
    }

    fn unexpected_end<T>(&self) -> Result<T, Error> {
        self.fail(self.peek(), "unexpected end of the template: an {{end}} is missing")
    }

    fn name(&mut self) -> Result<String, Error> {
        let token = self.next_non_space();
        if !matches!(token.kind, Kind::String | Kind::RawString) {
            return self.fail(token, "expected the quoted name of a template");
        }
        match literal::string(self.slice(token)).and_then(|bytes| String::from_utf8(bytes).ok()) {
            Some(name) => Ok(name),
            None => self.fail(token, "invalid string"),
        }
    }

    fn template(&mut self, token: Token) -> Result<Node, Error> {
        let name = self.name()?;
        self.skip_space();
        let pipeline = if self.peek().kind == Kind::Close {
            self.next();
            None
        } else {
            Some(self.pipeline(Context::Command)?)
        };
        Ok(Node::Template { at: token.start, name, pipeline })
    }

    fn block(&mut self, token: Token) -> Result<Node, Error> {
        let name = self.name()?;
        let pipeline: Pipeline = self.pipeline(Context::Command)?;
        self.nested(token, name.clone())?;
        Ok(Node::Template { at: token.start, name, pipeline: Some(pipeline) })
    }

    fn define(&mut self, token: Token) -> Result<Parsed, Error> {
        if self.depth > 0 {
            return self.fail(token, "{{define}} inside of a block");
        }
        let name = self.name()?;
        self.expect_close()?;
        self.nested(token, name)?;
        Ok(Parsed::Nothing)
    }

    /// The body of `define` or `block`, which has its own variables.
    fn nested(&mut self, token: Token, name: String) -> Result<(), Error> {
        self.enter(token)?;
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (body, stop) = self.list()?;
        match stop {
            Stop::End => {}
            Stop::Else => return self.fail(token, "unexpected {{else}} in a definition"),
            Stop::Eof => return self.unexpected_end(),
        }
        (self.variables, self.ranges) = (outer, ranges);
        self.leave();
        self.add(Definition { name, source: self.source.clone(), body })
    }

    fn add(&mut self, definition: Definition) -> Result<(), Error> {
        let Some(known) = self.definitions.iter_mut().find(|known| known.name == definition.name) else {
            self.definitions.push(definition);
            return Ok(());
        };
        if known.is_empty() {
            *known = definition;
        } else if !definition.is_empty() {
            let message = "two definitions of one template: rename one of them";
            return Err(Fault::new(message).at(&self.source, 0));
        }
        Ok(())
    }
}

/// Place of a pipeline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    Command,
    Range,
    Paren,
}

enum Parsed {
    Node(Node),
    Stop(Stop),
    /// A definition, which leaves nothing in its place.
    Nothing,
}
