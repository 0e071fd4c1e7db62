//! Tokens → statements, by Jinja2's grammar.

use std::rc::Rc;

use super::ast::{Args, Binary, Compare, Expr, ExprKind, For, Macro, Stmt, StmtKind, Target};
use super::lexer::{Placed, Token};
use super::text::Text;
use super::value::Value;
use super::{Fault, Res};

/// How deep tags, parentheses and operators may lie within each other: the parser and the interpreter recurse along them.
const MAX_DEPTH: u32 = 100;

/// Most operators in a row, of `a + b + c` or `a.b.c`: the interpreter recurses along them.
const MAX_CHAIN: u32 = 100;

pub(super) fn parse(tokens: &[Placed]) -> Res<Vec<Stmt>> {
    let mut parser = Parser { tokens, at: 0, depth: 0, names: MacroNames::default() };
    let parsed = parser.statements(&[]);
    let line = parser.line();
    let (body, _) = parsed.map_err(|fault| fault.at(line))?;
    Ok(body)
}

/// Which of its hidden variables a macro's body names.
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

    /// Runs `parse` a level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Res<T>) -> Res<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Fault::new(format!("more than {MAX_DEPTH} levels within each other")).at(self.line()));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Statements up to a tag that begins with one of `ends`, whose name is returned and read over.
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

    /// The body of a tag whose end is `end`.
    fn body(&mut self, end: &str) -> Res<Vec<Stmt>> {
        self.end_of_tag()?;
        let (body, _) = self.statements(&[end])?;
        self.end_of_tag()?;
        Ok(body)
    }

    /// A statement behind its keyword; none where there is nothing to do.
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
                StmtKind::CallBlock(body, call.ok_or_else(|| Fault::new("`{% call %}` wants a call").at(line))?)
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
            // Marks the assistant's text for training; transformers' own.
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

    /// The signature of a macro, the call of a `{% call %}`, and the body.
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

    /// What is assigned to: a name, several, or an attribute of a namespace.
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

    /// One expression, or several with commas between. `conditional`: whether `a if b` may stand there; `ends`: words that end it.
    fn tuple(&mut self, conditional: bool, ends: &[&str]) -> Res<Expr> {
        let line = self.line();
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            let ended = match self.token() {
                Token::VariableEnd | Token::BlockEnd | Token::Op(")") => true,
                Token::Name(name) => ends.contains(&name.as_str()),
                _ => false,
            };
            if ended && !items.is_empty() {
                break;
            }
            items.push(if conditional { self.expression()? } else { self.nested(|parser| parser.binary(0))? });
            if !self.take_op(",") {
                break;
            }
            is_tuple = true;
        }
        match items.pop() {
            Some(only) if items.is_empty() && !is_tuple => Ok(only),
            last => {
                items.extend(last);
                Ok(Expr { line, kind: ExprKind::Tuple(items) })
            }
        }
    }

    fn expression(&mut self) -> Res<Expr> {
        self.nested(|parser| {
            let mut then = parser.binary(0)?;
            let mut chain = 0;
            while parser.take_name("if") {
                parser.count(&mut chain)?;
                let line = then.line;
                let condition = Box::new(parser.binary(0)?);
                let otherwise = if parser.take_name("else") { Some(Box::new(parser.expression()?)) } else { None };
                then = Expr { line, kind: ExprKind::If { condition, then: Box::new(then), otherwise } };
            }
            Ok(then)
        })
    }

    fn count(&self, chain: &mut u32) -> Res<()> {
        *chain += 1;
        if *chain <= MAX_CHAIN {
            return Ok(());
        }
        Err(Fault::new(format!("more than {MAX_CHAIN} operators in a row")).at(self.line()))
    }

    /// The operator that follows, with how strongly it binds.
    fn operator(&self) -> Option<(Operator, u8)> {
        use Operator::{And, Compared, Concat, Math, Or};
        Some(match self.token() {
            Token::Name(word) => match word.as_str() {
                "or" => (Or, 1),
                "and" => (And, 2),
                "in" => (Compared(Compare::In), 4),
                "not" => match self.tokens.get(self.at + 1).map(|placed| &placed.token) {
                    Some(Token::Name(word)) if word == "in" => (Compared(Compare::NotIn), 4),
                    _ => return None,
                },
                _ => return None,
            },
            Token::Op(symbol) => match *symbol {
                "==" => (Compared(Compare::Equal), 4),
                "!=" => (Compared(Compare::NotEqual), 4),
                "<" => (Compared(Compare::Less), 4),
                "<=" => (Compared(Compare::LessEqual), 4),
                ">" => (Compared(Compare::Greater), 4),
                ">=" => (Compared(Compare::GreaterEqual), 4),
                "+" => (Math(Binary::Add), 5),
                "-" => (Math(Binary::Subtract), 5),
                "~" => (Concat, 6),
                "*" => (Math(Binary::Multiply), 7),
                "/" => (Math(Binary::Divide), 7),
                "//" => (Math(Binary::FloorDivide), 7),
                "%" => (Math(Binary::Modulo), 7),
                "**" => (Math(Binary::Power), 8),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// An expression of operators that bind at least as strongly as `least`.
    fn binary(&mut self, least: u8) -> Res<Expr> {
        let line = self.line();
        let mut left = if least <= 3 && self.is_name("not") {
            self.at += 1;
            let inner = self.nested(|parser| parser.binary(3))?;
            Expr { line, kind: ExprKind::Not(Box::new(inner)) }
        } else {
            self.unary(true)?
        };
        let mut chain = 0;
        while let Some((operator, strength)) = self.operator().filter(|(_, strength)| *strength >= least) {
            self.count(&mut chain)?;
            self.at += if operator == Operator::Compared(Compare::NotIn) { 2 } else { 1 };
            let right = self.nested(|parser| parser.binary(strength + 1))?;
            let (a, b) = (Box::new(left), Box::new(right));
            let kind = match operator {
                Operator::Or => ExprKind::Or(a, b),
                Operator::And => ExprKind::And(a, b),
                Operator::Math(operator) => ExprKind::Binary(operator, a, b),
                // These two are chains, not nested.
                Operator::Compared(compare) => match *a {
                    Expr { kind: ExprKind::Compare(first, mut others), .. } if chain > 1 => {
                        others.push((compare, *b));
                        ExprKind::Compare(first, others)
                    }
                    first => ExprKind::Compare(Box::new(first), vec![(compare, *b)]),
                },
                Operator::Concat => match *a {
                    Expr { kind: ExprKind::Concat(mut items), .. } if chain > 1 => {
                        items.push(*b);
                        ExprKind::Concat(items)
                    }
                    first => ExprKind::Concat(vec![first, *b]),
                },
            };
            left = Expr { line, kind };
        }
        Ok(left)
    }

    fn unary(&mut self, with_filters: bool) -> Res<Expr> {
        let line = self.line();
        let expr = if self.is_op("-") || self.is_op("+") {
            let is_negative = self.is_op("-");
            self.at += 1;
            let inner = Box::new(self.nested(|parser| parser.unary(false))?);
            Expr { line, kind: if is_negative { ExprKind::Negative(inner) } else { ExprKind::Positive(inner) } }
        } else {
            self.primary()?
        };
        let expr = self.postfix(expr)?;
        if with_filters { self.filters(expr) } else { Ok(expr) }
    }

    fn primary(&mut self) -> Res<Expr> {
        let line = self.line();
        let kind = match self.next() {
            Token::Name(name) => match name.as_str() {
                "true" | "True" => ExprKind::Const(Value::Bool(true)),
                "false" | "False" => ExprKind::Const(Value::Bool(false)),
                "none" | "None" => ExprKind::Const(Value::None),
                name => {
                    match name {
                        "varargs" => self.names.list = true,
                        "kwargs" => self.names.named = true,
                        "caller" => self.names.caller = true,
                        _ => {}
                    }
                    ExprKind::Name(name.into())
                }
            },
            Token::Str(mut text) => {
                while let Token::Str(more) = self.token() {
                    text += more;
                    self.at += 1;
                }
                ExprKind::Const(Value::Str(Text::template(&text)))
            }
            Token::Int(value) => ExprKind::Const(Value::Int(value)),
            Token::Float(value) => ExprKind::Const(Value::Float(value)),
            Token::Op("(") => {
                if self.take_op(")") {
                    ExprKind::Tuple(Vec::new())
                } else {
                    let inner = self.tuple(true, &[])?;
                    self.expect_op(")")?;
                    return Ok(inner);
                }
            }
            Token::Op("[") => ExprKind::List(self.items("]", Self::expression)?),
            Token::Op("{") => ExprKind::Map(self.items("}", |parser| {
                let key = parser.expression()?;
                parser.expect_op(":")?;
                Ok((key, parser.expression()?))
            })?),
            _ => {
                self.at -= 1;
                return Err(self.unexpected("an expression"));
            }
        };
        Ok(Expr { line, kind })
    }

    /// Items with commas between, up to `end`.
    fn items<T>(&mut self, end: &str, item: impl Fn(&mut Self) -> Res<T>) -> Res<Vec<T>> {
        let mut items = Vec::new();
        while !self.take_op(end) {
            if !items.is_empty() {
                self.expect_op(",")?;
                if self.take_op(end) {
                    break;
                }
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Attributes, items and calls behind an expression.
    fn postfix(&mut self, mut expr: Expr) -> Res<Expr> {
        let mut chain = 0;
        loop {
            let line = self.line();
            let kind = if self.take_op(".") {
                match self.next() {
                    Token::Name(name) => ExprKind::Attribute(Box::new(expr), name.into()),
                    Token::Int(index) => {
                        let index = Expr { line, kind: ExprKind::Const(Value::Int(index)) };
                        ExprKind::Item(Box::new(expr), Box::new(index))
                    }
                    _ => {
                        self.at -= 1;
                        return Err(self.unexpected("a name"));
                    }
                }
            } else if self.take_op("[") {
                self.subscript(expr)?
            } else if self.take_op("(") {
                ExprKind::Call(Box::new(expr), self.args()?)
            } else {
                return Ok(expr);
            };
            self.count(&mut chain)?;
            expr = Expr { line, kind };
        }
    }

    fn subscript(&mut self, of: Expr) -> Res<ExprKind> {
        let mut parts = [None, None, None];
        let mut colons = 0;
        let mut items = Vec::new();
        let line = self.line();
        while !self.take_op("]") {
            if self.take_op(":") {
                colons += 1;
                if colons > 2 || !items.is_empty() {
                    return Err(self.unexpected("`]`"));
                }
            } else if self.take_op(",") {
                items.extend(parts[0].take());
            } else if parts[colons].is_none() {
                parts[colons] = Some(self.expression()?);
            } else {
                return Err(self.unexpected("`]`"));
            }
        }
        if colons > 0 {
            return Ok(ExprKind::Slice(Box::new(of), Box::new(parts)));
        }
        let [only, ..] = parts;
        match only {
            Some(only) if items.is_empty() => Ok(ExprKind::Item(Box::new(of), Box::new(only))),
            None if items.is_empty() => Err(self.unexpected("an expression in the brackets")),
            last => {
                items.extend(last);
                Ok(ExprKind::Item(Box::new(of), Box::new(Expr { line, kind: ExprKind::Tuple(items) })))
            }
        }
    }

    /// Arguments behind their parenthesis.
    fn args(&mut self) -> Res<Args> {
        let mut args = Args::default();
        let mut first = true;
        while !self.take_op(")") {
            if !first {
                self.expect_op(",")?;
                if self.take_op(")") {
                    break;
                }
            }
            first = false;
            if self.take_op("**") {
                args.mapping = Some(Box::new(self.expression()?));
            } else if self.take_op("*") {
                args.list = Some(Box::new(self.expression()?));
            } else if let (Token::Name(name), Some(Token::Op("="))) =
                (self.token(), self.tokens.get(self.at + 1).map(|placed| &placed.token))
            {
                let name = name.as_str().into();
                self.at += 2;
                args.named.push((name, self.expression()?));
            } else if args.named.is_empty() && args.mapping.is_none() {
                args.positional.push(self.expression()?);
            } else {
                return Err(self.unexpected("an argument with a name"));
            }
        }
        Ok(args)
    }

    /// Filters, tests and calls behind an expression.
    fn filters(&mut self, mut expr: Expr) -> Res<Expr> {
        let mut chain = 0;
        loop {
            let line = self.line();
            expr = if self.take_op("|") {
                self.filter(expr)?
            } else if self.take_name("is") {
                self.test(expr)?
            } else if self.take_op("(") {
                Expr { line, kind: ExprKind::Call(Box::new(expr), self.args()?) }
            } else {
                return Ok(expr);
            };
            self.count(&mut chain)?;
        }
    }

    /// A filter, from its name on.
    fn filter(&mut self, of: Expr) -> Res<Expr> {
        let line = self.line();
        let name = self.dotted()?;
        let args = if self.take_op("(") { self.args()? } else { Args::default() };
        Ok(Expr { line, kind: ExprKind::Filter(Box::new(of), name, args) })
    }

    fn test(&mut self, of: Expr) -> Res<Expr> {
        let line = self.line();
        let negated = self.take_name("not");
        let name = self.dotted()?;
        let mut args = Args::default();
        let begins = match self.token() {
            Token::Name(word) => {
                !matches!(word.as_str(), "else" | "or" | "and" | "if" | "is" | "in" | "not" | "recursive")
            }
            Token::Str(_) | Token::Int(_) | Token::Float(_) | Token::Op("[" | "{") => true,
            _ => false,
        };
        if self.take_op("(") {
            args = self.args()?;
        } else if begins {
            let argument = self.primary()?;
            args.positional.push(self.postfix(argument)?);
        }
        Ok(Expr { line, kind: ExprKind::Test(Box::new(of), name, args, negated) })
    }

    fn dotted(&mut self) -> Res<Rc<str>> {
        let mut name = self.name()?.to_string();
        while self.take_op(".") {
            name = format!("{name}.{}", self.name()?);
        }
        Ok(name.into())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Compared(Compare),
    Math(Binary),
    Concat,
}
