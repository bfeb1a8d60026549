//! Tokens of a template.

/// Kind of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Text,
    /// `{{`
    Open,
    /// `}}`
    Close,
    Space,
    /// `=`
    Assign,
    /// `:=`
    Declare,
    Pipe,
    OpenParen,
    CloseParen,
    /// Any other printable ASCII character.
    Char,
    String,
    RawString,
    /// `'x'`
    CharConstant,
    Number,
    Identifier,
    /// `.name`
    Field,
    /// `$name`
    Variable,
    Dot,
    Bool,
    Nil,
    Keyword(Keyword),
    /// End of the template.
    End,
}

/// Words that control the flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

/// A token and its place in the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Kind of a word.
pub(crate) fn word(word: &str) -> Kind {
    match word {
        "true" | "false" => Kind::Bool,
        "nil" => Kind::Nil,
        "block" => Kind::Keyword(Keyword::Block),
        "break" => Kind::Keyword(Keyword::Break),
        "continue" => Kind::Keyword(Keyword::Continue),
        "define" => Kind::Keyword(Keyword::Define),
        "else" => Kind::Keyword(Keyword::Else),
        "end" => Kind::Keyword(Keyword::End),
        "if" => Kind::Keyword(Keyword::If),
        "range" => Kind::Keyword(Keyword::Range),
        "template" => Kind::Keyword(Keyword::Template),
        "with" => Kind::Keyword(Keyword::With),
        _ => Kind::Identifier,
    }
}
