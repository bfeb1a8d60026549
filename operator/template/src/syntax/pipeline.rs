//! Tokens of an action to a pipeline.

use super::literal;
use super::node::{Command, Operand, Pipeline, Term};
use super::number::Number;
use super::parser::{Context, Parser};
use super::token::{Kind, Token};
use crate::error::Error;
use crate::functions;

impl Parser {
    /// A pipeline with its closing delimiter or parenthesis.
    pub(super) fn pipeline(&mut self, context: Context) -> Result<Pipeline, Error> {
        self.skip_space();
        let first = self.peek();
        let mut pipeline =
            Pipeline { at: first.start, variables: Vec::new(), assigns: false, commands: Vec::new() };
        while self.declaration(&mut pipeline, context)? {}
        let end = if context == Context::Paren { Kind::CloseParen } else { Kind::Close };
        loop {
            let token = self.next_non_space();
            if token.kind == end {
                break;
            }
            self.back();
            if !starts_operand(token.kind) {
                return self.fail(token, "unexpected token in an action");
            }
            pipeline.commands.push(self.command()?);
        }
        self.check(&pipeline, first)?;
        Ok(pipeline)
    }

    fn check(&self, pipeline: &Pipeline, first: Token) -> Result<(), Error> {
        if pipeline.commands.is_empty() {
            return self.fail(first, "missing value");
        }
        if pipeline.commands.iter().skip(1).any(|command| command.first.term.is_constant()) {
            return self.fail(first, "non executable command in a stage of the pipeline");
        }
        Ok(())
    }

    /// Reads `$x :=`, `$x =` or `$i,`. Returns whether another variable may follow.
    fn declaration(&mut self, pipeline: &mut Pipeline, context: Context) -> Result<bool, Error> {
        self.skip_space();
        let variable = self.peek();
        if variable.kind != Kind::Variable {
            return Ok(false);
        }
        self.next();
        let spaced = self.peek().kind == Kind::Space;
        self.skip_space();
        let next = self.peek();
        let comma = next.kind == Kind::Char && self.slice(next) == ",";
        if !comma && !matches!(next.kind, Kind::Assign | Kind::Declare) {
            self.rewind(spaced);
            return Ok(false);
        }
        self.next();
        let name = self.slice(variable).to_owned();
        self.variables.push(name.clone());
        pipeline.variables.push(name);
        pipeline.assigns = next.kind == Kind::Assign;
        if comma { self.second_variable(pipeline, context) } else { Ok(false) }
    }

    fn rewind(&mut self, spaced: bool) {
        self.back();
        if spaced {
            self.back();
        }
    }

    fn second_variable(&mut self, pipeline: &Pipeline, context: Context) -> Result<bool, Error> {
        self.skip_space();
        let next = self.peek();
        if context != Context::Range || pipeline.variables.len() > 1 {
            return self.fail(next, "too many declarations");
        }
        match next.kind {
            Kind::Variable | Kind::Close | Kind::CloseParen => Ok(true),
            _ => self.fail(next, "range can only initialize variables"),
        }
    }

    fn command(&mut self) -> Result<Command, Error> {
        let mut operands = Vec::new();
        loop {
            self.skip_space();
            operands.extend(self.operand()?);
            let token = self.next();
            match token.kind {
                Kind::Space => {}
                Kind::Close | Kind::CloseParen => {
                    self.back();
                    break;
                }
                Kind::Pipe => break,
                _ => return self.fail(token, "unexpected token in an operand"),
            }
        }
        let mut operands = operands.into_iter();
        match operands.next() {
            Some(first) => Ok(Command { first, arguments: operands.collect() }),
            None => self.fail(self.peek(), "empty command"),
        }
    }

    fn operand(&mut self) -> Result<Option<Operand>, Error> {
        let Some(operand) = self.term()? else { return Ok(None) };
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            let token = self.next();
            fields.push(self.slice(token)[1..].to_owned());
        }
        if fields.is_empty() {
            return Ok(Some(operand));
        }
        let at = operand.at;
        let term = match operand.term {
            Term::Field(mut names) => {
                names.extend(fields);
                Term::Field(names)
            }
            Term::Variable(variable, mut names) => {
                names.extend(fields);
                Term::Variable(variable, names)
            }
            ref term if term.is_constant() => return self.fail(self.peek(), "unexpected . after a constant"),
            _ => Term::Chain(Box::new(operand), fields),
        };
        Ok(Some(Operand { at, term }))
    }

    fn term(&mut self) -> Result<Option<Operand>, Error> {
        let token = self.next_non_space();
        let text = self.slice(token);
        let term = match token.kind {
            Kind::Identifier => functions::find(text).map(Term::Function),
            Kind::Dot => Some(Term::Dot),
            Kind::Nil => Some(Term::Nil),
            Kind::Variable => self.variable(token),
            Kind::Field => Some(Term::Field(vec![text[1..].to_owned()])),
            Kind::Bool => Some(Term::Bool(text == "true")),
            Kind::CharConstant => literal::char(text).map(Number::char).map(Term::Number),
            Kind::Number => Number::parse(text).map(Term::Number),
            Kind::String | Kind::RawString => literal::string(text).map(Term::String),
            Kind::OpenParen => return self.paren(token).map(Some),
            _ => {
                self.back();
                return Ok(None);
            }
        };
        match term {
            Some(term) => Ok(Some(Operand { at: token.start, term })),
            None => self.fail(token, invalid(token.kind)),
        }
    }

    fn variable(&self, token: Token) -> Option<Term> {
        let name = self.slice(token);
        let known = self.variables.iter().any(|variable| variable == name);
        known.then(|| Term::Variable(name.to_owned(), Vec::new()))
    }

    fn paren(&mut self, token: Token) -> Result<Operand, Error> {
        self.enter(token)?;
        let pipeline = self.pipeline(Context::Paren)?;
        self.leave();
        Ok(Operand { at: token.start, term: Term::Pipeline(Box::new(pipeline)) })
    }
}

fn starts_operand(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Bool
            | Kind::CharConstant
            | Kind::Dot
            | Kind::Field
            | Kind::Identifier
            | Kind::Number
            | Kind::Nil
            | Kind::RawString
            | Kind::String
            | Kind::Variable
            | Kind::OpenParen
    )
}

fn invalid(kind: Kind) -> &'static str {
    match kind {
        Kind::Identifier => "this function is not defined",
        Kind::Variable => "undefined variable",
        Kind::Number => "invalid number",
        _ => "invalid string or character",
    }
}
