//! One table of the file while it is being read: takes what it knows, and says what it doesn't.

use super::mistake::{At, Mistakes};
use super::units::{parse_duration, parse_size};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Two letters wrong, or a third of a long word: what people type, and not yet another word.
const TYPO_DISTANCE_MAX: usize = 2;

/// A table, its name as a person would say it (`[store.nas]`), and the keys that were asked for.
pub struct Section<'d> {
    pub name: String,
    pub span: Range<usize>,
    table: &'d DeTable<'d>,
    known: Vec<&'static str>,
}

impl<'d> Section<'d> {
    pub fn new(name: impl Into<String>, span: Range<usize>, table: &'d DeTable<'d>) -> Section<'d> {
        Section { name: name.into(), span, table, known: Vec::new() }
    }

    fn take(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// `[store.nas] path`, or `data_dir` at the top.
    fn says(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{} {key}", self.name) }
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, wants: &str, help: &str, told: &mut Mistakes) {
        let is = value.get_ref().type_str();
        told.error(&value.span(), format!("{} is {wants}, not {} {is}", self.says(key), article(is)), help);
    }

    pub fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    pub fn text(&mut self, key: &'static str, told: &mut Mistakes) -> Option<At<String>> {
        let value = self.take(key)?;
        match value.get_ref().as_str() {
            Some("") => {
                told.error(&value.span(), format!("{} is empty", self.says(key)), "give it a value or leave it out");
                None
            }
            Some(text) => Some(At { value: text.to_owned(), span: value.span() }),
            None => {
                self.wrong(key, value, "a text", "put it into \"quotes\"", told);
                None
            }
        }
    }

    pub fn truth(&mut self, key: &'static str, told: &mut Mistakes) -> Option<At<bool>> {
        let value = self.take(key)?;
        let truth = value.get_ref().as_bool();
        if truth.is_none() {
            self.wrong(key, value, "true or false", "write true or false, without quotes", told);
        }
        truth.map(|value_is| At { value: value_is, span: value.span() })
    }

    pub fn count(&mut self, key: &'static str, told: &mut Mistakes) -> Option<At<usize>> {
        let value = self.take(key)?;
        let count = value.get_ref().as_integer().and_then(|n| usize::from_str_radix(n.as_str(), n.radix()).ok());
        if count.is_none() {
            self.wrong(key, value, "a whole number from 0 up", "write it without quotes", told);
        }
        count.map(|count| At { value: count, span: value.span() })
    }

    /// A number with or without a fraction.
    pub fn amount(&mut self, key: &'static str, told: &mut Mistakes) -> Option<At<f64>> {
        let value = self.take(key)?;
        let typed = value.get_ref();
        let amount = match (typed.as_float(), typed.as_integer()) {
            (Some(float), _) => float.as_str().parse::<f64>().ok(),
            (_, Some(whole)) => whole.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let amount = amount.filter(|amount| amount.is_finite() && *amount >= 0.0);
        if amount.is_none() {
            self.wrong(key, value, "a number from 0 up", "write it without quotes: 0.09", told);
        }
        amount.map(|amount| At { value: amount, span: value.span() })
    }

    /// Milliseconds.
    pub fn duration(&mut self, key: &'static str, told: &mut Mistakes) -> Option<At<u64>> {
        self.measured(key, "a time like \"15m\"", parse_duration, told)
    }

    /// Bytes.
    pub fn size(&mut self, key: &'static str, told: &mut Mistakes) -> Option<At<u64>> {
        self.measured(key, "a size like \"64MiB\"", parse_size, told)
    }

    fn measured(
        &mut self,
        key: &'static str,
        wants: &str,
        parse: fn(&str) -> Result<u64, String>,
        told: &mut Mistakes,
    ) -> Option<At<u64>> {
        let value = self.take(key)?;
        let (typed, parsed) = match (value.get_ref().as_str(), value.get_ref().as_integer()) {
            (Some(text), _) => (format!("{text:?}"), parse(text)),
            (None, Some(whole)) => (whole.to_string(), parse(whole.as_str())),
            (None, None) => {
                self.wrong(key, value, wants, "write a number with its unit, in quotes", told);
                return None;
            }
        };
        match parsed {
            Ok(amount) => Some(At { value: amount, span: value.span() }),
            Err(help) => {
                told.error(&value.span(), format!("{} is {wants}, not {typed}", self.says(key)), help);
                None
            }
        }
    }

    pub fn texts(&mut self, key: &'static str, told: &mut Mistakes) -> Option<At<Vec<At<String>>>> {
        let value = self.take(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(key, value, "a list of texts", "write [\"one\", \"two\"]", told);
            return None;
        };
        let mut texts = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(At { value: text.to_owned(), span: item.span() }),
                None => self.wrong(key, item, "a list of texts", "put each into \"quotes\"", told),
            }
        }
        Some(At { value: texts, span: value.span() })
    }

    /// `{ name = "text", ... }`, in the order of the file.
    pub fn pairs(&mut self, key: &'static str, told: &mut Mistakes) -> Vec<(At<String>, At<String>)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(key, value, "a table", "write { name = \"value\" }", told);
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (name, item) in table {
            match item.get_ref().as_str() {
                Some(text) => pairs.push((
                    At { value: name.get_ref().to_string(), span: name.span() },
                    At { value: text.to_owned(), span: item.span() },
                )),
                None => self.wrong(key, item, "a table of texts", "put each value into \"quotes\"", told),
            }
        }
        pairs.sort_by_key(|(name, _)| name.span.start);
        pairs
    }

    /// A table below this one; `None` where it is not there.
    /// `{ "name" = 10, ... }`, in the order of the file.
    pub fn counts(&mut self, key: &'static str, told: &mut Mistakes) -> Vec<(At<String>, At<usize>)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(key, value, "a table", "write { \"name\" = 1000 }", told);
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (name, item) in table {
            let count = item.get_ref().as_integer().and_then(|n| usize::from_str_radix(n.as_str(), n.radix()).ok());
            match count {
                Some(count) => pairs.push((
                    At { value: name.get_ref().to_string(), span: name.span() },
                    At { value: count, span: item.span() },
                )),
                None => self.wrong(key, item, "a table of whole numbers from 0 up", "write them without quotes", told),
            }
        }
        pairs
    }

    pub fn section(&mut self, key: &'static str, told: &mut Mistakes) -> Option<Section<'d>> {
        let value = self.take(key)?;
        let name = match self.name.trim_matches(['[', ']']) {
            "" => format!("[{key}]"),
            above => format!("[{above}] {key}"),
        };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(key, value, "a table", &format!("write [{key}] on a line of its own"), told);
            return None;
        };
        let span = self.table.get_key_value(key).map_or(value.span(), |(key, _)| key.span());
        Some(Section::new(name, span, table))
    }

    /// `[store.nas]`, `[store.b2]`, ...: the tables below `key`, in the order of the file.
    pub fn named(&mut self, key: &'static str, told: &mut Mistakes) -> Vec<(At<String>, Section<'d>)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(key, value, "a table of names", &format!("write [{key}.NAME] on a line of its own"), told);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, item) in table {
            let said = format!("[{key}.{}]", name.get_ref());
            match item.get_ref().as_table() {
                Some(table) => sections.push((
                    At { value: name.get_ref().to_string(), span: name.span() },
                    Section::new(said, name.span(), table),
                )),
                None => {
                    let what = format!("{key}.{} is a value, but {key} holds tables with names", name.get_ref());
                    told.error(&name.span(), what, format!("write [{key}.NAME] on a line of its own, then its keys"));
                }
            }
        }
        sections.sort_by_key(|(name, _)| name.span.start);
        sections
    }

    /// The value as it stands, for keys that take several shapes.
    pub fn value(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.take(key)
    }

    /// Everything that nobody asked for is a mistake. `elsewhere`: keys that mean something in another place, and where.
    pub fn finish(self, elsewhere: &[(&str, &str)], told: &mut Mistakes) {
        for key in self.table.keys() {
            let typed = key.get_ref().as_ref();
            if self.known.contains(&typed) {
                continue;
            }
            let what = match self.name.as_str() {
                "" => format!("there is no key or section \"{typed}\""),
                name => format!("{name} has no key \"{typed}\""),
            };
            let help = match elsewhere.iter().find(|(name, _)| *name == typed) {
                Some((_, place)) => format!("\"{typed}\" belongs to {place}"),
                None => did_you_mean(typed, self.known.iter().copied()),
            };
            told.error(&key.span(), what, help);
        }
    }
}

/// `did you mean "path"?`, or the list of what there is.
pub fn did_you_mean<'a>(typed: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let near = known
        .clone()
        .map(|word| (strsim::damerau_levenshtein(&typed.to_lowercase(), word), word))
        .filter(|(distance, word)| *distance <= TYPO_DISTANCE_MAX.max(word.len() / 3) && *distance < word.len())
        .min();
    match near {
        Some((_, word)) => format!("did you mean \"{word}\"?"),
        None => {
            let mut all: Vec<&str> = known.collect();
            all.sort_unstable();
            all.dedup();
            match all.as_slice() {
                [] => "there is none to choose from".to_owned(),
                all => format!("there is: {}", all.join(", ")),
            }
        }
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
