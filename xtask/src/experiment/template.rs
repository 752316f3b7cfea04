//! Placeholders in braces: `"--seed={seed}"` → text and names; `{{` and `}}` are literal braces.

use anyhow::{Result, bail};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Text(String),
    Placeholder(String),
}

/// Splits a template into text and placeholders.
pub(crate) fn parse(template: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut text = String::new();
    let mut rest = template.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '{' | '}' if rest.peek() == Some(&c) => {
                rest.next();
                text.push(c);
            }
            '{' => {
                let mut name = String::new();
                loop {
                    match rest.next() {
                        Some('}') => break,
                        Some(c) if c != '{' => name.push(c),
                        _ => bail!("`{template}`: a brace is not closed; a literal one is written twice"),
                    }
                }
                if name.is_empty() {
                    bail!("`{template}`: the braces are empty");
                }
                if !text.is_empty() {
                    tokens.push(Token::Text(std::mem::take(&mut text)));
                }
                tokens.push(Token::Placeholder(name));
            }
            '}' => bail!("`{template}`: a closing brace has no opening one; a literal one is written twice"),
            c => text.push(c),
        }
    }
    if !text.is_empty() {
        tokens.push(Token::Text(text));
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use crate::testing::assert_refused;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_and_placeholders_alternate() {
        let tokens = parse("--a={b}{{c}}{d.e}").expect("the template is right");
        let want = [
            Token::Text("--a=".into()),
            Token::Placeholder("b".into()),
            Token::Text("{c}".into()),
            Token::Placeholder("d.e".into()),
        ];
        assert_eq!(tokens, want, "each placeholder stands apart");
    }

    #[test]
    fn unbalanced_braces_are_refused() {
        let (closed, opened) = ("a brace is not closed", "a closing brace has no opening one");
        for (template, words) in
            [("{a", closed), ("a}", opened), ("{}", "the braces are empty"), ("{a{b}", closed), ("{", closed)]
        {
            assert_refused(parse(template), words);
        }
    }

    proptest! {
        #[test]
        fn escaped_text_comes_back(text in ".*") {
            let escaped = text.replace('{', "{{").replace('}', "}}");
            let want = if text.is_empty() { vec![] } else { vec![Token::Text(text)] };
            prop_assert_eq!(parse(&escaped).expect("escaped text parses"), want, "escape ∘ parse = id");
        }
    }
}
