//! `store accept`: a store that came back empty is used again, and owed everything that was believed to be there.

use crate::cli::AcceptArgs;
use crate::exit::{Ending, Failure};
use crate::orders;
use crate::question::{Answer, ask};
use crate::running::{address, unanswered};
use crate::source::Source;

pub async fn run(args: &AcceptArgs, source: &Source) -> Result<Ending, Failure> {
    if !args.yes {
        let question = format!(
            "Every copy believed to be on {} becomes a debt, and the store is filled again from the others.\nAccept it?",
            args.name
        );
        match ask(&question) {
            Answer::Yes => {}
            Answer::No => return Err(Failure::differs("nothing was changed")),
            Answer::Nobody => return Err(Failure::usage("nobody to ask: say --yes to go on without a question")),
        }
    }
    let admin = address(source);
    let order = serde_json::json!({ "store": args.name });
    let () =
        orders::give(admin, "/admin/accept", order, |_| {}).await.map_err(|error| unanswered(error, admin, source))?;
    println!("{} is accepted; `outlast status --watch` shows it being filled", args.name);
    Ok(Ending::Good)
}
