//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;

use crate::peers::engine::ENGINES;

/// Measures full Hessians against Hessian-vector products, in time and memory.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench", version)]
pub struct Args {
    /// Only small networks and short measurements: done within a minute.
    #[arg(long)]
    pub quick: bool,
    /// Only measurements whose name holds each of these words, such as "64-20-15-10/b256 hvp f64".
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub filter: Filter,
    /// Numbers of threads, such as `1,2,all`.
    #[arg(long, value_name = "LIST", default_value = "1,all")]
    pub threads: ThreadList,
    /// The most memory that dense matrices may take, such as `500MB` or `2GiB`.
    #[arg(long, value_name = "BYTES", default_value = "1GiB")]
    pub budget: ByteSize,
    /// Where the report and the charts go.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub out: PathBuf,
    /// Measure other engines beside this one instead: JAX, PyTorch, CasADi, scipy, Rust crates.
    #[arg(long)]
    pub peers: bool,
    /// With --peers, only these engines, such as `ad-core,jax`.
    #[arg(long, value_name = "LIST", requires = "peers")]
    pub engines: Option<EngineList>,
    /// With --peers, how often each engine runs; 3 if not said, 1 with --quick.
    #[arg(long, value_name = "N", requires = "peers", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// List the kernel calls of operations on networks with their times instead; --filter chooses
    /// them, such as "64-20-15-10/b256 hvp_linearized f64".
    #[arg(long, conflicts_with = "peers")]
    pub profile: bool,
    /// Minimise test problems and small classifiers by every method instead, and by those of scipy,
    /// argmin and basin: a performance profile by cost and by time.
    #[arg(long, conflicts_with_all = ["peers", "profile"])]
    pub solvers: bool,
    /// Answer a request of such a comparison: what each engine's process does.
    #[arg(long, value_name = "FILE", hide = true)]
    pub request: Option<PathBuf>,
}

/// Names of engines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineList(Vec<String>);

impl EngineList {
    /// Whether an engine is named.
    #[must_use]
    pub fn holds(&self, engine: &str) -> bool {
        self.0.iter().any(|name| name == engine)
    }
}

impl FromStr for EngineList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known: Vec<_> = ENGINES.iter().map(|engine| engine.name).collect();
        let name = |word: &str| {
            if known.contains(&word) {
                Ok(word.to_string())
            } else {
                let known = known.join(", ");
                Err(format!("`{word}` is no engine; there are {known}"))
            }
        };
        let names = text.split(',').map(|word| name(word.trim()));
        names.collect::<Result<_, _>>().map(Self)
    }
}

/// Words that a measurement's name must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    words: Vec<String>,
}

impl Filter {
    /// Whether a name holds all words.
    #[must_use]
    pub fn admits(&self, name: &str) -> bool {
        self.words.iter().all(|word| name.contains(word.as_str()))
    }
}

impl FromStr for Filter {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split_whitespace().map(ToString::to_string);
        Ok(Self {
            words: words.collect(),
        })
    }
}

/// Numbers of threads, each once, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadList(pub Vec<usize>);

/// More threads than any machine of today runs well: a slip of the keyboard.
const MAX_THREADS: usize = 1024;

impl FromStr for ThreadList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut threads = Vec::new();
        for word in text.split(',').map(str::trim) {
            let number = match word {
                "all" => std::thread::available_parallelism().map_or(1, usize::from),
                _ => word.parse().map_err(|_| expected_threads(word))?,
            };
            if !(1..=MAX_THREADS).contains(&number) {
                return Err(expected_threads(word));
            }
            threads.push(number);
        }
        threads.sort_unstable();
        threads.dedup();
        Ok(Self(threads))
    }
}

fn expected_threads(word: &str) -> String {
    format!(
        "`{word}` is no number of threads; expected numbers from 1 to {MAX_THREADS} or `all`, with commas between"
    )
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u128);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let power: u32 = match unit.trim().to_ascii_lowercase().trim_end_matches('b') {
            "" => 0,
            "k" | "ki" => 1,
            "m" | "mi" => 2,
            "g" | "gi" => 3,
            "t" | "ti" => 4,
            _ => return Err(expected_bytes(text)),
        };
        let binary = unit.contains(['i', 'I']);
        let base: u128 = if binary { 1024 } else { 1000 };
        let number: u128 = number.parse().map_err(|_| expected_bytes(text))?;
        let bytes = number.checked_mul(base.pow(power));
        bytes.map(Self).ok_or_else(|| expected_bytes(text))
    }
}

fn expected_bytes(text: &str) -> String {
    format!(
        "`{text}` is no number of bytes; expected a whole number and a unit, such as `4096`, `500MB` or `2GiB`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_description_of_the_flags_is_consistent() {
        Args::command().debug_assert();
        let args = Args::try_parse_from(["bench"]).unwrap();
        assert_eq!((args.quick, args.budget), (false, ByteSize(1 << 30)));
        assert!(args.filter.admits("anything"));
    }

    #[test]
    fn wrong_flags_and_values_end_with_code_2_and_say_what_was_expected() {
        for (words, text) in [
            (&["--fast"][..], "--fast"),
            (&["--threads", "0"], "expected numbers from 1"),
            (&["--threads", "1,,2"], "expected numbers from 1"),
            (&["--threads", "two"], "`two`"),
            (&["--budget", "much"], "`much`"),
            (&["--budget", "1XB"], "`1XB`"),
            (&["--budget", "-1"], "-1"),
            (&["file"], "file"),
            (&["--peers", "--engines", "jacks"], "`jacks` is no engine"),
            (&["--engines", "jax"], "--peers"),
            (&["--rounds", "2"], "--peers"),
            (&["--peers", "--rounds", "0"], "1.."),
            (&["--solvers", "--peers"], "--peers"),
        ] {
            let error = Args::try_parse_from(["bench"].iter().chain(words)).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn threads_are_listed_once_in_order() {
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        assert_eq!("4, 1,4".parse(), Ok(ThreadList(vec![1, 4])));
        assert_eq!("all".parse(), Ok(ThreadList(vec![all])));
    }

    #[test]
    fn bytes_have_decimal_and_binary_units() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("12 kB", 12_000),
            ("500MB", 500_000_000),
            ("2GiB", 2 << 30),
            ("3t", 3_000_000_000_000),
            ("7b", 7),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        let huge = "999999999999999999999999999999999999GB".parse::<ByteSize>();
        assert!(huge.is_err());
    }

    #[test]
    fn a_filter_wants_every_word() {
        let filter: Filter = "64-20 f64".parse().unwrap();
        assert!(filter.admits("64-20-15-10/b256 hvp f64 t1 ad-core"));
        assert!(!filter.admits("64-20-15-10/b256 hvp f32 t1 ad-core"));
    }
}
