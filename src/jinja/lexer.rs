//! Source → tokens, with Jinja2's rules for white space. `trim_blocks` and `lstrip_blocks` are on,
//! as in transformers.

use super::{Fault, Res};

/// A token of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Text between tags.
    Data(String),
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name(String),
    Str(String),
    Int(i128),
    Float(f64),
    /// A symbol, such as `==`.
    Op(&'static str),
    End,
}

/// A token and its line, counted from 1.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) line: u32,
}

/// Symbols; those of two characters come first.
const SYMBOLS: [&str; 26] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".",
    ":", "|", ",", ";",
];

/// Limit of a source's length; published ones have up to 30 KB.
const MAX_BYTES: usize = 1 << 18;

/// Limit of a source's tokens, and so of their memory.
const MAX_TOKENS: usize = 100_000;

pub(super) fn tokens(source: &str) -> Res<Vec<Placed>> {
    if source.len() > MAX_BYTES {
        return Err(Fault::new(format!("{} bytes are more than the {MAX_BYTES} that are compiled", source.len())));
    }
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    // Jinja2 drops one line break at the end of a template.
    let source = source.strip_suffix('\n').unwrap_or(&source);
    let mut lexer = Lexer { source, at: 0, line: 1, line_starts: true, tokens: Vec::new() };
    lexer.template().map_err(|fault| fault.at(lexer.line))?;
    lexer.push(Token::End)?;
    Ok(lexer.tokens)
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    line: u32,
    /// Whether the last item ended with a line break.
    line_starts: bool,
    tokens: Vec<Placed>,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn push(&mut self, token: Token) -> Res<()> {
        if self.tokens.len() >= MAX_TOKENS {
            return Err(Fault::new(format!("more than {MAX_TOKENS} symbols")));
        }
        self.tokens.push(Placed { token, line: self.line });
        Ok(())
    }

    fn advance(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let passed = &self.source[self.at..self.at + bytes];
        self.line += passed.matches('\n').count() as u32;
        self.line_starts = passed.ends_with('\n');
        self.at += bytes;
    }

    fn skip_white_space(&mut self) {
        let rest = self.rest();
        self.advance(rest.len() - rest.trim_start().len());
    }

    fn template(&mut self) -> Res<()> {
        loop {
            let rest = self.rest();
            let opening =
                rest.match_indices('{').find(|(at, _)| matches!(rest.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')));
            let Some((at, _)) = opening else {
                if !rest.is_empty() {
                    self.push(Token::Data(rest.to_owned()))?;
                }
                return Ok(());
            };
            let tag = &rest[at..];
            let kind = tag.as_bytes()[1];
            let sign = tag.as_bytes().get(2).copied();
            self.data(&rest[..at], kind != b'{', sign)?;
            self.advance(at);
            let signed = usize::from(matches!(sign, Some(b'-' | b'+')));
            match kind {
                b'#' => self.comment()?,
                b'%' if raw_mark(tag, "raw").is_some() => self.raw()?,
                kind => {
                    self.push(if kind == b'%' { Token::BlockBegin } else { Token::VariableBegin })?;
                    self.advance(2 + signed);
                    self.tag(kind == b'%')?;
                }
            }
        }
    }

    /// Emits the text before a tag, stripped as the tag asks.
    fn data(&mut self, text: &str, is_block: bool, sign: Option<u8>) -> Res<()> {
        let stripped = match sign {
            Some(b'-') => text.trim_end(),
            Some(b'+') => text,
            _ if is_block => {
                let line = text.rfind('\n').map_or(0, |at| at + 1);
                let whole = line > 0 || self.line_starts || self.at == 0;
                if whole && text[line..].trim().is_empty() { &text[..line] } else { text }
            }
            _ => text,
        };
        if stripped.is_empty() { Ok(()) } else { self.push(Token::Data(stripped.to_owned())) }
    }

    fn comment(&mut self) -> Res<()> {
        let end = self.rest()[2..].find("#}").ok_or_else(|| Fault::new("a comment is not closed: `#}` is missing"))?;
        self.advance(2 + end);
        let sign = self.source.as_bytes()[self.at - 1];
        self.close(sign, true);
        Ok(())
    }

    /// Called after the two characters that end a tag. `sign`: the character before them.
    fn close(&mut self, sign: u8, trims: bool) {
        self.advance(2);
        match sign {
            b'-' => self.skip_white_space(),
            b'+' => {}
            _ if trims && self.rest().starts_with('\n') => self.advance(1),
            _ => {}
        }
    }

    /// `{% raw %}` … `{% endraw %}`: text without tags.
    fn raw(&mut self) -> Res<()> {
        let begin = raw_mark(self.rest(), "raw").unwrap_or_default();
        let strips = self.rest()[..begin].ends_with("-%}");
        self.advance(begin);
        if strips {
            self.skip_white_space();
        }
        let rest = self.rest();
        let end = rest.match_indices("{%").find_map(|(at, _)| Some((at, raw_mark(&rest[at..], "endraw")?)));
        let (at, length) = end.ok_or_else(|| Fault::new("`{% raw %}` is not closed: `{% endraw %}` is missing"))?;
        self.data(&rest[..at], true, rest.as_bytes().get(at + 2).copied())?;
        self.advance(at + length - 2);
        let sign = self.source.as_bytes()[self.at - 1];
        self.close(sign, true);
        Ok(())
    }

    /// The inside of a tag, and its end.
    fn tag(&mut self, is_block: bool) -> Res<()> {
        let end = if is_block { "%}" } else { "}}" };
        let mut open: Vec<&str> = Vec::new();
        loop {
            self.skip_white_space();
            let rest = self.rest();
            let Some(first) = rest.chars().next() else {
                return Err(Fault::new(format!("a tag is not closed: `{end}` is missing")));
            };
            if open.is_empty() {
                let signed = usize::from(rest.starts_with('-') || (is_block && rest.starts_with('+')));
                if rest[signed..].starts_with(end) {
                    let sign = if signed == 1 { rest.as_bytes()[0] } else { 0 };
                    self.push(if is_block { Token::BlockEnd } else { Token::VariableEnd })?;
                    self.advance(signed);
                    self.close(sign, is_block);
                    return Ok(());
                }
            }
            if first.is_ascii_digit() {
                self.number()?;
            } else if first == '_' || first.is_alphanumeric() {
                let length = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
                self.push(Token::Name(rest[..length].to_owned()))?;
                self.advance(length);
            } else if first == '\'' || first == '"' {
                self.string(first)?;
            } else {
                let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
                let symbol = symbol.ok_or_else(|| Fault::new(format!("`{first}` is unexpected")))?;
                match *symbol {
                    "(" | "[" | "{" => open.push(symbol),
                    ")" | "]" | "}" => {
                        let expected = open.pop().map(|open| match open {
                            "(" => ")",
                            "[" => "]",
                            _ => "}",
                        });
                        if expected != Some(symbol) {
                            return Err(Fault::new(format!("`{symbol}` closes nothing")));
                        }
                    }
                    _ => {}
                }
                self.push(Token::Op(symbol))?;
                self.advance(symbol.len());
            }
        }
    }

    fn number(&mut self) -> Res<()> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let digits = |from: usize, radix: u32| {
            let is_digit = |c: char| c.is_digit(radix) || c == '_';
            from + rest[from..].find(|c| !is_digit(c)).unwrap_or(rest.len() - from)
        };
        let radix = match bytes.get(1) {
            Some(b'x' | b'X') => 16,
            Some(b'o' | b'O') => 8,
            Some(b'b' | b'B') => 2,
            _ => 10,
        };
        if bytes[0] == b'0' && radix != 10 {
            let end = digits(2, radix);
            let value = i128::from_str_radix(&rest[2..end].replace('_', ""), radix);
            self.push(Token::Int(value.map_err(|_| Fault::new(format!("`{}` is not a number", &rest[..end])))?))?;
            self.advance(end);
            return Ok(());
        }
        let mut end = digits(0, 10);
        let mut is_float = false;
        if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
            (end, is_float) = (digits(end + 1, 10), true);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
                (end, is_float) = (digits(end + 1 + sign, 10), true);
            }
        }
        let text = rest[..end].replace('_', "");
        let bad = || Fault::new(format!("`{text:.40}` is not a number in range"));
        self.push(match is_float {
            true => Token::Float(text.parse().map_err(|_| bad())?),
            false => Token::Int(text.parse().map_err(|_| bad())?),
        })?;
        self.advance(end);
        Ok(())
    }

    fn string(&mut self, quote: char) -> Res<()> {
        let rest = self.rest();
        let mut text = String::new();
        let mut chars = rest[1..].char_indices();
        let unclosed = || Fault::new("a string is not closed");
        loop {
            let (at, c) = chars.next().ok_or_else(unclosed)?;
            match c {
                c if c == quote => {
                    self.push(Token::Str(text))?;
                    self.advance(at + 2);
                    return Ok(());
                }
                '\\' => {
                    let (_, c) = chars.next().ok_or_else(unclosed)?;
                    match c {
                        '\n' => {}
                        'n' => text.push('\n'),
                        't' => text.push('\t'),
                        'r' => text.push('\r'),
                        'a' => text.push('\x07'),
                        'b' => text.push('\x08'),
                        'f' => text.push('\x0c'),
                        'v' => text.push('\x0b'),
                        '\\' | '\'' | '"' => text.push(c),
                        'x' | 'u' | 'U' => {
                            let length = [('x', 2), ('u', 4), ('U', 8)]
                                .iter()
                                .find(|(mark, _)| *mark == c)
                                .map_or(0, |(_, n)| *n);
                            let digits: String = chars.by_ref().take(length).map(|(_, c)| c).collect();
                            let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == length);
                            text.push(
                                code.and_then(char::from_u32)
                                    .ok_or_else(|| Fault::new(format!("`\\{c}{digits}` is not a character")))?,
                            );
                        }
                        '0'..='7' => {
                            let mut code = c.to_digit(8).unwrap_or_default();
                            for _ in 0..2 {
                                let digit = chars.clone().next().and_then(|(_, c)| c.to_digit(8));
                                let Some(digit) = digit else { break };
                                code = code * 8 + digit;
                                chars.next();
                            }
                            text.extend(char::from_u32(code));
                        }
                        // Python keeps unknown escapes.
                        c => text.extend(['\\', c]),
                    }
                }
                c => text.push(c),
            }
        }
    }
}

/// Length of the tag `{% name %}` if `text` begins with it, in bytes.
fn raw_mark(text: &str, name: &str) -> Option<usize> {
    let inner = text.strip_prefix("{%")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner).trim_start();
    let inner = inner.strip_prefix(name)?.trim_start();
    let signed = inner.strip_prefix('-').or_else(|| inner.strip_prefix('+').filter(|_| name == "endraw"));
    let end = signed.unwrap_or(inner).strip_prefix("%}")?;
    Some(text.len() - end.len())
}
