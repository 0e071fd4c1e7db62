//! Tokens → statements, by Jinja2's grammar.

mod expressions;

use std::rc::Rc;

use super::ast::{Expr, ExprKind, For, Macro, Stmt, StmtKind, Target};
use super::lexer::{Placed, Token};
use super::text::Text;
use super::value::Value;
use super::{Fault, Res};

/// Limit of nested tags, parentheses and operators: parser and interpreter recurse through them.
const MAX_DEPTH: u32 = 100;

pub(super) fn parse(tokens: &[Placed]) -> Res<Vec<Stmt>> {
    let mut parser = Parser { tokens, at: 0, depth: 0, names: MacroNames::default() };
    let parsed = parser.statements(&[]);
    let line = parser.line();
    let (body, _) = parsed.map_err(|fault| fault.at(line))?;
    Ok(body)
}

/// Which of a macro's implicit variables its body uses.
#[derive(Debug, Clone, Copy, Default)]
struct MacroNames {
    list: bool,
    named: bool,
    caller: bool,
}

struct Parser<'t> {
    tokens: &'t [Placed],
    at: usize,
    depth: u32,
    names: MacroNames,
}

impl Parser<'_> {
    fn token(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |placed| &placed.token)
    }

    fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |placed| placed.line)
    }

    fn next(&mut self) -> Token {
        let token = self.token().clone();
        self.at += 1;
        token
    }

    fn is_op(&self, symbol: &str) -> bool {
        matches!(self.token(), Token::Op(found) if *found == symbol)
    }

    fn is_name(&self, word: &str) -> bool {
        matches!(self.token(), Token::Name(found) if found == word)
    }

    fn take_op(&mut self, symbol: &str) -> bool {
        let found = self.is_op(symbol);
        self.at += usize::from(found);
        found
    }

    fn take_name(&mut self, word: &str) -> bool {
        let found = self.is_name(word);
        self.at += usize::from(found);
        found
    }

    fn expect_op(&mut self, symbol: &str) -> Res<()> {
        if self.take_op(symbol) { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }

    fn name(&mut self) -> Res<Rc<str>> {
        match self.token() {
            Token::Name(name) => {
                let name = name.as_str().into();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    fn unexpected(&self, wanted: &str) -> Box<Fault> {
        let found = match self.token() {
            Token::Data(_) => "text".to_owned(),
            Token::VariableBegin | Token::BlockBegin => "the begin of a tag".to_owned(),
            Token::VariableEnd | Token::BlockEnd => "the end of the tag".to_owned(),
            Token::Name(name) => format!("`{name:.40}`"),
            Token::Str(text) => format!("the string {text:.40?}"),
            Token::Int(value) => format!("`{value}`"),
            Token::Float(value) => format!("`{value}`"),
            Token::Op(symbol) => format!("`{symbol}`"),
            Token::End => "the end of the template".to_owned(),
        };
        Fault::new(format!("{found} where {wanted} is expected")).at(self.line())
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Res<T>) -> Res<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Fault::new(format!("more than {MAX_DEPTH} levels within each other")).at(self.line()));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Parses statements up to a tag whose name is in `ends`. Consumes the name and returns it.
    fn statements(&mut self, ends: &[&str]) -> Res<(Vec<Stmt>, String)> {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            match self.next() {
                Token::Data(text) => body.push(Stmt { line, kind: StmtKind::Data(Text::template(&text)) }),
                Token::VariableBegin => {
                    let expr = self.tuple(true, &[])?;
                    if self.next() != Token::VariableEnd {
                        self.at -= 1;
                        return Err(self.unexpected("`}}`"));
                    }
                    body.push(Stmt { line, kind: StmtKind::Output(expr) });
                }
                Token::BlockBegin => {
                    let keyword = self.name()?;
                    if ends.contains(&&*keyword) {
                        return Ok((body, keyword.as_ref().to_owned()));
                    }
                    let kind = self.nested(|parser| parser.statement(&keyword, line))?;
                    body.extend(kind.map(|kind| Stmt { line, kind }));
                }
                Token::End if ends.is_empty() => return Ok((body, String::new())),
                _ => {
                    self.at -= 1;
                    return Err(self.unexpected(&format!("`{{% {} %}}`", ends.join(" %}` or `{% "))));
                }
            }
        }
    }

    fn end_of_tag(&mut self) -> Res<()> {
        if self.next() == Token::BlockEnd {
            return Ok(());
        }
        self.at -= 1;
        Err(self.unexpected("`%}`"))
    }

    /// Parses the body of a tag that `end` closes.
    fn body(&mut self, end: &str) -> Res<Vec<Stmt>> {
        self.end_of_tag()?;
        let (body, _) = self.statements(&[end])?;
        self.end_of_tag()?;
        Ok(body)
    }

    /// Parses a statement after its keyword; `None` if it has no effect.
    fn statement(&mut self, keyword: &str, line: u32) -> Res<Option<StmtKind>> {
        Ok(Some(match keyword {
            "for" => self.for_loop()?,
            "if" => self.branches()?,
            "set" => self.set()?,
            "with" => {
                let mut values = Vec::new();
                while *self.token() != Token::BlockEnd {
                    if !values.is_empty() {
                        self.expect_op(",")?;
                    }
                    let target = self.target(false)?;
                    self.expect_op("=")?;
                    values.push((target, self.expression()?));
                }
                StmtKind::With(values, self.body("endwith")?)
            }
            "macro" => {
                let name = self.name()?;
                StmtKind::Macro(self.macro_body(name, true, "endmacro")?.0)
            }
            "call" => {
                let (body, call) = self.macro_body("caller".into(), false, "endcall")?;
                let call = call.filter(|call| matches!(call.kind, ExprKind::Call(..)));
                StmtKind::CallBlock(body, call.ok_or_else(|| Fault::new("`{% call %}` needs a call").at(line))?)
            }
            "filter" => {
                let body = Expr { line, kind: ExprKind::Body };
                let filters = self.filter(body)?;
                let filters = self.filters(filters)?;
                StmtKind::FilterBlock(filters, self.body("endfilter")?)
            }
            "block" => {
                self.name()?;
                while self.take_name("scoped") || self.take_name("required") {}
                self.end_of_tag()?;
                let (body, _) = self.statements(&["endblock"])?;
                if matches!(self.token(), Token::Name(_)) {
                    self.at += 1;
                }
                self.end_of_tag()?;
                StmtKind::Block(body)
            }
            // transformers' own tag: marks the assistant's text for training
            "generation" => StmtKind::Block(self.body("endgeneration")?),
            "autoescape" => {
                let escapes = !matches!(self.expression()?.kind, ExprKind::Const(Value::Bool(false)));
                if escapes {
                    return Err(Fault::new("`autoescape` is not supported").at(line));
                }
                StmtKind::Block(self.body("endautoescape")?)
            }
            "print" => {
                let expr = self.tuple(true, &[])?;
                self.end_of_tag()?;
                StmtKind::Output(expr)
            }
            "break" | "continue" => {
                self.end_of_tag()?;
                if keyword == "break" { StmtKind::Break } else { StmtKind::Continue }
            }
            "include" | "import" | "from" | "extends" => {
                return Err(Fault::new(format!("`{keyword}` would read another template, and there is none")).at(line));
            }
            unknown => return Err(Fault::new(format!("unknown tag `{unknown:.40}`")).at(line)),
        }))
    }

    fn for_loop(&mut self) -> Res<StmtKind> {
        let target = self.target(true)?;
        if !self.take_name("in") {
            return Err(self.unexpected("`in`"));
        }
        let iter = self.tuple(false, &["recursive"])?;
        let filter = if self.take_name("if") { Some(self.expression()?) } else { None };
        let recursive = self.take_name("recursive");
        self.end_of_tag()?;
        let (body, end) = self.statements(&["endfor", "else"])?;
        let otherwise = if end == "else" { self.body("endfor")? } else { Vec::new() };
        if end == "endfor" {
            self.end_of_tag()?;
        }
        Ok(StmtKind::For(Rc::new(For { target, iter, filter, recursive, body, otherwise })))
    }

    fn branches(&mut self) -> Res<StmtKind> {
        let mut branches = Vec::new();
        loop {
            let condition = self.tuple(false, &[])?;
            self.end_of_tag()?;
            let (body, end) = self.statements(&["elif", "else", "endif"])?;
            branches.push((condition, body));
            match end.as_str() {
                "elif" => {}
                "else" => return Ok(StmtKind::If(branches, self.body("endif")?)),
                _ => {
                    self.end_of_tag()?;
                    return Ok(StmtKind::If(branches, Vec::new()));
                }
            }
        }
    }

    fn set(&mut self) -> Res<StmtKind> {
        let line = self.line();
        let target = self.target(true)?;
        if self.take_op("=") {
            let value = self.tuple(true, &[])?;
            self.end_of_tag()?;
            return Ok(StmtKind::Set(target, value));
        }
        let body = Expr { line, kind: ExprKind::Body };
        let filters = self.filters(body)?;
        Ok(StmtKind::SetBlock(target, filters, self.body("endset")?))
    }

    /// Parses the signature of a macro, the call of a `{% call %}`, and the body.
    fn macro_body(&mut self, name: Rc<str>, has_signature: bool, end: &str) -> Res<(Rc<Macro>, Option<Expr>)> {
        let mut parameters: Vec<(Rc<str>, Option<Expr>)> = Vec::new();
        if has_signature || self.is_op("(") {
            self.expect_op("(")?;
            while !self.is_op(")") {
                if !parameters.is_empty() {
                    self.expect_op(",")?;
                }
                let parameter = self.name()?;
                let default = if self.take_op("=") { Some(self.expression()?) } else { None };
                if default.is_none() && parameters.last().is_some_and(|(_, default)| default.is_some()) {
                    return Err(self.unexpected("a parameter with a default, behind one that has it,"));
                }
                parameters.push((parameter, default));
            }
            self.expect_op(")")?;
        }
        let call = if has_signature { None } else { Some(self.expression()?) };
        let outer = std::mem::take(&mut self.names);
        let body = self.body(end)?;
        let MacroNames { list, named, caller } = std::mem::replace(&mut self.names, outer);
        let (takes_list, takes_named, takes_caller) = (list, named, caller);
        Ok((Rc::new(Macro { name, parameters, body, takes_list, takes_named, takes_caller }), call))
    }

    /// Parses a target: a name, several, or an attribute of a namespace.
    fn target(&mut self, several: bool) -> Res<Target> {
        let mut targets = Vec::new();
        let mut is_tuple = false;
        loop {
            if self.take_op("(") {
                targets.push(self.nested(|parser| parser.target(true))?);
                self.expect_op(")")?;
            } else {
                let name = self.name()?;
                targets.push(if self.take_op(".") {
                    Target::Attribute(name, self.name()?)
                } else {
                    Target::Name(name)
                });
            }
            if !several || !self.take_op(",") {
                break;
            }
            is_tuple = true;
            if self.is_name("in") || self.is_op("=") || self.is_op(")") {
                break;
            }
        }
        match targets.pop() {
            Some(only) if targets.is_empty() && !is_tuple => Ok(only),
            Some(last) => {
                targets.push(last);
                Ok(Target::Tuple(targets))
            }
            None => Err(self.unexpected("a name")),
        }
    }
}
