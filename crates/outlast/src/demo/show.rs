//! Runs the play before its audience: a terminal, a log, or a program.

use super::clients::House;
use super::herald::Herald;
use super::oracle::Oracle;
use super::picture::Picture;
use super::plain::{event_line, second_line};
use super::script::{new_score, play, prepare};
use super::snapshot::Snapshot;
use super::stage::Stage;
use super::terminal::Screen;
use super::times::{LOAD_DEFAULT, Times};
use super::totals::Totals;
use crate::cli::DemoArgs;
use crate::exit::{Ending, Failure};
use crate::wire::Ends;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

/// Bars move smoothly, events are told soon, and the demo's own work stays small.
const LOOK: Duration = Duration::from_millis(200);
/// One line a second can be read along.
const LINE: Duration = Duration::from_secs(1);
/// The last picture stays so long, so that its end is seen.
const CURTAIN: Duration = Duration::from_secs(3);

/// # Errors
/// No temporary folder, no terminal; in words.
pub async fn run(args: &DemoArgs) -> Result<Ending, Failure> {
    let mut ends = Ends::listen()?;
    let seed = args.seed.unwrap_or_else(|| u64::from(SmallRng::from_os_rng().random::<u32>()));
    let live = !args.plain && !args.json && std::io::stdout().is_terminal();
    let out = Out { json: args.json };
    out.line(&format!(
        "outlast demo: three stores in a temporary folder, writes need {} of them{}; seed {seed}",
        args.min_copies,
        if args.no_spool { ", the spool never stands in" } else { " (the spool may stand in for one)" },
    ));
    let stage = Arc::new(Stage::open(args.min_copies, !args.no_spool, seed).await?);
    let times = Times::of(args.seconds.map_or(LOAD_DEFAULT, Duration::from_secs));
    let show = async {
        let house = House { stage: stage.clone(), score: new_score(), oracle: Arc::new(Oracle::default()), seed };
        out.line("preparing: some objects, and one of 64 MiB");
        prepare(&house).await.map_err(|words| Failure::differs(format!("demo: preparing: {words}")))?;
        let house = House { score: new_score(), ..house };
        match live {
            true => watch_live(&house, times).await,
            false => watch_lines(&house, times, &out).await,
        }
    };
    let totals = tokio::select! {
        biased;
        _ = ends.next() => Ok(None),
        totals = show => totals,
    };
    // Said before the folder goes: on a slow disk that takes a while, and nobody is to wait for the verdict.
    let Ok(Some(totals)) = &totals else {
        stage.close().await?;
        totals?;
        out.line("left before the end: nothing was compared");
        return Ok(Ending::Interrupted);
    };
    out.line(&totals.words());
    if args.json {
        say(&mut std::io::stdout().lock(), &totals.json());
    }
    out.line("removing the demo's folder");
    stage.close().await?;
    Ok(if totals.good { Ending::Good } else { Ending::Differs })
}

/// Lines go to stdout, or beside it when stdout is for the totals alone.
struct Out {
    json: bool,
}

impl Out {
    fn line(&self, text: &str) {
        match self.json {
            true => say(&mut std::io::stderr().lock(), text),
            false => say(&mut std::io::stdout().lock(), text),
        }
    }
}

/// A closed pipe is no reason to stop: the exit code still tells.
fn say(out: &mut impl Write, text: &str) {
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        tracing::debug!("nobody reads: {error}");
    }
}

async fn watch_lines(house: &House, times: Times, out: &Out) -> Result<Option<Totals>, Failure> {
    let mut herald = Herald::default();
    let mut told = 0;
    let mut last_requests = 0;
    let mut looks = interval(LOOK);
    let mut lines = interval_at(Instant::now() + LINE, LINE);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    lines.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let play = play(house.clone(), times);
    tokio::pin!(play);
    let mut totals = None;
    while totals.is_none() {
        tokio::select! {
            biased;
            ended = &mut play => totals = Some(ended),
            _ = looks.tick() => herald.look(&Snapshot::take(&house.stage, &house.score).await, &house.score),
            _ = lines.tick() => {
                let now = Snapshot::take(&house.stage, &house.score).await;
                // Once the load is over and nothing is owed, only events are news.
                if now.score.requests != last_requests || !now.is_settled() {
                    out.line(&second_line(&now));
                }
                last_requests = now.score.requests;
            }
        }
        let events = house.score.standings().events;
        for event in &events[told..] {
            out.line(&event_line(event));
        }
        told = events.len();
    }
    Ok(totals)
}

/// None: the one who watches has left.
async fn watch_live(house: &House, times: Times) -> Result<Option<Totals>, Failure> {
    let mut screen =
        Screen::open().map_err(|error| Failure::cannot_start(format!("demo: the terminal: {error}; try --plain")))?;
    let mut picture = Picture::new(house.stage.placement.min_copies, house.stage.placement.spool_counts);
    let mut herald = Herald::default();
    let mut redraw = interval(LOOK);
    redraw.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let play = play(house.clone(), times);
    tokio::pin!(play);
    let mut totals = None;
    let mut curtain = None;
    loop {
        tokio::select! {
            biased;
            () = screen.left() => break,
            ended = &mut play, if totals.is_none() => {
                picture.end(&ended);
                totals = Some(ended);
                curtain = Some(Instant::now() + CURTAIN);
            }
            _ = redraw.tick() => {
                let now = Snapshot::take(&house.stage, &house.score).await;
                herald.look(&now, &house.score);
                screen.draw(|frame| picture.draw(frame, &now)).map_err(|error| Failure::cannot_start(error.to_string()))?;
                if curtain.is_some_and(|end| Instant::now() >= end) {
                    break;
                }
            }
        }
    }
    Ok(totals)
}
