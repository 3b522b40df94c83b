//! `verify --report`: is this report what a gateway signed, and what does it claim? Needs neither gateway nor configuration.

use crate::cli::VerifyArgs;
use crate::exit::{Ending, Failure};
use crate::source;
use crate::told::report_words;
use outlast_engine::{SigningError, own_public_key, read_signed};
use outlast_rules::{EJECT_FORMAT, EjectReport};
use std::path::Path;

pub fn run(args: &VerifyArgs, path: &Path, named: Option<&Path>) -> Result<Ending, Failure> {
    let key = match &args.key {
        Some(key) => key.clone(),
        None => own_key(named)?,
    };
    let report = read_signed(path, &key).map_err(|error| match error {
        SigningError::NotSigned(why) => Failure::usage(why),
        error => Failure::differs(format!("{}: {error}", path.display())),
    })?;
    let format = report["format"].as_str().unwrap_or_default().to_owned();
    if format != EJECT_FORMAT {
        return Err(Failure::usage(format!(
            "{}: the signature is right, but this program does not know the format {format:?}",
            path.display()
        )));
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report).expect("it was read as JSON"));
    }
    let report: EjectReport = serde_json::from_value(report)
        .map_err(|error| Failure::usage(format!("{}: the report is not understood: {error}", path.display())))?;
    if !args.json {
        print!("{}", report_words(&report));
        println!("signed with the key {key}, and not changed since");
    }
    Ok(if report.holds_everything() { Ending::Good } else { Ending::Differs })
}

/// The key that a report names itself would vouch for whoever wrote it: it must come from elsewhere.
fn own_key(named: Option<&Path>) -> Result<String, Failure> {
    let source = source::find_gateway(named)?;
    let data_dir = &source.config.data_dir;
    match own_public_key(data_dir) {
        Ok(Some(key)) => Ok(key),
        Ok(None) => Err(Failure::usage(format!(
            "whose signature is wanted? {} has no signing key: say --key KEY, as it was printed when the report was written",
            data_dir.display()
        ))),
        Err(error) => Err(Failure::usage(error.to_string())),
    }
}
