//! A regular expression of the user's, which can be compared.

use std::str::FromStr;

use regex::Regex;

/// A regular expression for a line of text.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Whether it is found in a line.
    #[must_use]
    pub fn is_in(&self, line: &str) -> bool {
        self.0.is_match(line)
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty, and would match every line".to_owned());
        }
        Regex::new(text).map(Self).map_err(|error| {
            let message = error.to_string();
            let what = message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("it is no regular expression: {what}")
        })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_expression_is_refused_in_one_line() {
        let refused = "login(".parse::<Pattern>().unwrap_err();
        assert_eq!(refused, "it is no regular expression: unclosed group");
        let empty = "".parse::<Pattern>().unwrap_err();
        assert_eq!(empty, "it is empty, and would match every line");
        assert!("login:".parse::<Pattern>().unwrap().is_in("debian login: "));
    }
}
