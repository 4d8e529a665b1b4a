//! What it costs to make a name that nobody can guess, beside a draw of the generator for
//! jitter: `identities [count]`, in ns each.

use std::hint::black_box;

use rookery::base::{ClientId, Csprng, Prng, Trace};
use rookery_bench::clock::Clock;

fn main() {
    let count = std::env::args().nth(1).map_or(10_000_000, |text| text.parse().expect("a number"));
    let (mut ids, mut jitter) = (Csprng::from_key([7; 16]), Prng::from_seed(7));
    tell("client id", count, || ClientId::from_random(ids.draw_u128()));
    tell("message id, as text", count, || ClientId::from_random(ids.draw_u128()).to_string());
    tell("trace id", count, || Trace::made(&mut ids));
    tell("jitter", count, || jitter.draw());
}

fn tell<T>(what: &str, count: u32, mut made: impl FnMut() -> T) {
    let clock = Clock::start();
    for _ in 0..count {
        black_box(made());
    }
    println!("{what}: {:.1} ns", clock.ns() as f64 / f64::from(count));
}
