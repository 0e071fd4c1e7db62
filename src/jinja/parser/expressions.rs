//! Expressions, by the precedence of their operators.

use std::rc::Rc;

use super::Parser;
use crate::jinja::ast::{Args, Binary, Compare, Expr, ExprKind};
use crate::jinja::lexer::Token;
use crate::jinja::text::Text;
use crate::jinja::value::Value;
use crate::jinja::{Fault, Res};

/// Limit of a chain such as `a + b + c` or `a.b.c`: the interpreter recurses through it.
const MAX_CHAIN: u32 = 100;

impl Parser<'_> {
    /// One expression, or several separated by commas. `conditional`: whether `a if b` is allowed;
    /// `ends`: words that end it.
    pub(super) fn tuple(&mut self, conditional: bool, ends: &[&str]) -> Res<Expr> {
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

    pub(super) fn expression(&mut self) -> Res<Expr> {
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

    /// The next operator and its precedence.
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

    /// An expression of operators with precedence `least` or higher.
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
                // These two form chains and are not nested.
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

    /// Items separated by commas, up to `end`.
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

    /// Attributes, subscripts and calls after an expression.
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

    /// Arguments after the opening parenthesis.
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

    /// Filters, tests and calls after an expression.
    pub(super) fn filters(&mut self, mut expr: Expr) -> Res<Expr> {
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
    pub(super) fn filter(&mut self, of: Expr) -> Res<Expr> {
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
