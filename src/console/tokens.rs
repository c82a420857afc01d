//! Decides what is done to a line of the console before Rhai sees it: `_`, the last value, becomes a variable's name, and
//! 'text in single quotes' a string, as in 2014; and whether more lines must come. Knows just enough of the language to
//! leave strings and comments alone, and never says whether it is right.

/// What `_` is called inside.
pub const LAST: &str = "it";

/// Lines so far.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// As Rhai is given them.
    pub code: String,
    /// A bracket, a comment or a text of several lines is open.
    pub open: bool,
}

struct Reader<'a> {
    rest: &'a str,
    code: String,
    /// Brackets that are open.
    depth: usize,
    /// For each `${` that is open, the brackets that were.
    inside: Vec<usize>,
    open: bool,
}

/// Reads lines.
pub fn read(text: &str) -> Source {
    let mut reader =
        Reader { rest: text, code: String::with_capacity(text.len()), depth: 0, inside: Vec::new(), open: false };
    while let Some(c) = reader.rest.chars().next() {
        reader.step(c);
    }
    let open = reader.open || reader.depth > 0 || !reader.inside.is_empty();
    Source { code: reader.code, open }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl Reader<'_> {
    /// Copies so many bytes.
    fn copy(&mut self, bytes: usize) {
        let (head, rest) = self.rest.split_at(bytes);
        self.code.push_str(head);
        self.rest = rest;
    }

    fn step(&mut self, c: char) {
        let rest = self.rest;
        match c {
            _ if rest.starts_with("//") => self.copy(rest.find('\n').unwrap_or(rest.len())),
            _ if rest.starts_with("/*") => self.comment(),
            '"' => self.string(),
            '`' => {
                self.copy(1);
                self.text();
            }
            '\'' => self.quoted(),
            '#' => self.raw(),
            '(' | '[' | '{' => {
                self.depth += 1;
                self.copy(1);
            }
            '}' if self.inside.last() == Some(&self.depth) => {
                self.inside.pop();
                self.copy(1);
                self.text();
            }
            ')' | ']' | '}' => {
                self.depth = self.depth.saturating_sub(1);
                self.copy(1);
            }
            _ if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                let word = &rest[..end];
                // In a switch it is everything else.
                if word == "_" && !rest[end..].trim_start().starts_with("=>") {
                    self.code.push_str(LAST);
                    self.rest = &rest[end..];
                } else {
                    self.copy(end);
                }
            }
            _ => self.copy(c.len_utf8()),
        }
    }

    /// A comment that may hold others.
    fn comment(&mut self) {
        let mut depth = 0;
        while !self.rest.is_empty() {
            if self.rest.starts_with("/*") {
                depth += 1;
                self.copy(2);
            } else if self.rest.starts_with("*/") {
                depth -= 1;
                self.copy(2);
                if depth == 0 {
                    return;
                }
            } else {
                self.copy(self.rest.chars().next().map_or(0, char::len_utf8));
            }
        }
        self.open = true;
    }

    /// A string up to its end, or that of the line.
    fn string(&mut self) {
        self.copy(1);
        let mut escaped = false;
        for (at, c) in self.rest.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return self.copy(at + 1),
                '\n' => return self.copy(at),
                _ => {}
            }
        }
        self.open |= escaped;
        self.copy(self.rest.len());
    }

    /// What stands in backticks, up to their end or an expression.
    fn text(&mut self) {
        loop {
            let Some(at) = self.rest.find(['`', '$']) else {
                self.open = true;
                return self.copy(self.rest.len());
            };
            self.copy(at);
            if self.rest.starts_with("``") || self.rest.starts_with("$$") {
                self.copy(2);
            } else if self.rest.starts_with("${") {
                self.inside.push(self.depth);
                return self.copy(2);
            } else if self.rest.starts_with('`') {
                return self.copy(1);
            } else {
                self.copy(1);
            }
        }
    }

    /// One character stays one, more are a string.
    fn quoted(&mut self) {
        let (mut escaped, mut count) = (false, 0);
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => {
                    escaped = true;
                    count += 1;
                }
                '\'' => {
                    let inside = &self.rest[1..at];
                    if count != 1 && !inside.starts_with('\\') {
                        let text = inside.replace('"', "\\\"");
                        self.code.push_str(&format!("\"{text}\""));
                        self.rest = &self.rest[at + 1..];
                        return;
                    }
                    return self.copy(at + 1);
                }
                '\n' => break,
                _ => count += 1,
            }
        }
        self.copy(1);
    }

    /// `#"…"#`, with as many `#` on either side; anything else with a `#` is none.
    fn raw(&mut self) {
        let marks = self.rest.len() - self.rest.trim_start_matches('#').len();
        if !self.rest[marks..].starts_with('"') {
            return self.copy(marks);
        }
        let end = format!("\"{}", "#".repeat(marks));
        match self.rest[marks + 1..].find(&end) {
            Some(at) => self.copy(marks + 1 + at + end.len()),
            None => {
                self.open = true;
                self.copy(self.rest.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let Source { code, open } = read(text);
        assert!(!open, "{text}");
        code
    }

    #[test]
    fn the_last_value_has_a_name_outside_of_strings_and_comments() {
        for (text, wanted) in [
            ("parse_script(_)", "parse_script(it)"),
            ("_", "it"),
            ("_ + a_b + _c + d_ + 1_000", "it + a_b + _c + d_ + 1_000"),
            ("_[0]._x", "it[0]._x"),
            (r#""_" + _ // _"#, r#""_" + it // _"#),
            ("/* _ /* _ */ _ */ _", "/* _ /* _ */ _ */ it"),
            (r#""\"_" + _"#, r#""\"_" + it"#),
            ("`_ ${_ + `${_}`} _` + _", "`_ ${it + `${it}`} _` + it"),
            ("`${#{a: _}} _`", "`${#{a: it}} _`"),
            ("#\"_\"# + _", "#\"_\"# + it"),
            ("##\"_\"# _\"## + _", "##\"_\"# _\"## + it"),
            ("#{a: _}", "#{a: it}"),
            ("switch _ { 1 => 2, _ => _ }", "switch it { 1 => 2, _ => it }"),
            ("'_' + '\\'' + _", "'_' + '\\'' + it"),
        ] {
            assert_eq!(code(text), wanted);
        }
    }

    #[test]
    fn single_quotes_are_strings_but_round_one_character() {
        assert_eq!(code("db['00ab']"), "db[\"00ab\"]");
        assert_eq!(code("'a' + '' + 'say \"_\"'"), "'a' + \"\" + \"say \\\"_\\\"\"");
        assert_eq!(code("'\\n' + '\\x41'"), "'\\n' + '\\x41'");
        assert_eq!(code("x // it's\n_"), "x // it's\nit");
        assert_eq!(code("it's"), "it's");
    }

    #[test]
    fn what_is_open_asks_for_more() {
        for open in [
            "for tx in b.transactions {",
            "f(1,",
            "[1, [2]",
            "/* a",
            "`a",
            "`a ${b",
            "#\"a",
            "\"a\\",
            "if x { 1 } else {",
        ] {
            assert!(read(open).open, "{open}");
        }
        for closed in ["f(1, [2])", "`a ${b}`", "\"(\"", "// {", "'{'", "'{{'", ")", "\"a", "1"] {
            assert!(!read(closed).open, "{closed}");
        }
    }
}
