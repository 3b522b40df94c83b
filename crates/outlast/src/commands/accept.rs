//! `store accept`: a store that came back empty is used again, and owed everything that was believed to be there.

use crate::cli::AcceptArgs;
use crate::exit::{Ending, Failure};
use crate::question::consent;
use crate::running::order;
use crate::source::Source;

pub async fn run(args: &AcceptArgs, source: &Source) -> Result<Ending, Failure> {
    if !args.yes {
        let question = format!(
            "Every copy believed to be on {} becomes a debt, and the store is filled again from the others.\nAccept it?",
            args.name
        );
        consent(&question)?;
    }
    let () = order(source, "/admin/accept", serde_json::json!({ "store": args.name }), false).await?;
    println!("{} is accepted; `outlast status --watch` shows it being filled", args.name);
    Ok(Ending::Good)
}
