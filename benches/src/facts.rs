//! What is worth keeping of a run beside its records.

use serde::Serialize;

use crate::record::Id;

/// Facts of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facts {
    /// Where and how it ran.
    pub machine: Machine,
    /// How each record was measured.
    pub samples: Vec<Sampling>,
    /// Newton steps by two methods.
    pub newton: Vec<NewtonAgreement>,
    /// How costs grow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub growth: Vec<Growth>,
    /// Dense matrices that were refused.
    pub refused: Vec<Refusal>,
    /// What the run shows, in words.
    pub statements: Vec<String>,
}

/// The machine and the build.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    /// The processor's name, where the system tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// Threads that can run at once.
    pub threads: usize,
    /// Operating system and architecture.
    pub platform: String,
    /// Which library factorises dense matrices.
    pub dense_backend: String,
    /// The project's version.
    pub version: String,
    /// Whether this was a quick run.
    pub quick: bool,
}

impl Machine {
    /// This machine.
    #[must_use]
    pub fn here(quick: bool) -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = info
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map(|(_, name)| name.trim().to_string());
        Self {
            processor,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            dense_backend: hvp_solvers::dense::BACKEND.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            quick,
        }
    }
}

/// How a record was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Sampling {
    /// Which record.
    #[serde(flatten)]
    pub id: Id,
    /// Samples taken.
    pub samples: usize,
    /// Calls in a sample.
    pub repetitions: u32,
    /// Allocations a call, over all calls.
    pub allocations_mean: f64,
    /// Seconds of the first call, derivation and planning included.
    pub first_call_seconds: f64,
}

/// The same Newton step p, (H + shift·I)p = ∇f, by two methods.
#[derive(Clone, Debug, Serialize)]
pub struct NewtonAgreement {
    /// The case.
    pub case: String,
    /// `f32` or `f64`.
    pub dtype: String,
    /// The number of threads.
    pub threads: usize,
    /// The Levenberg–Marquardt shift.
    pub shift: f64,
    /// The relative residual at which conjugate gradients stop.
    pub relative_tolerance: f64,
    /// The relative residual that they reached.
    pub relative_residual: f64,
    /// How they ended.
    pub stop: String,
    /// Products with the Hessian that they took.
    pub products: usize,
    /// ‖p − q‖/‖q‖ with p by conjugate gradients and q by Cholesky.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_difference: Option<f64>,
}

/// How the cost of an operation grows: seconds ∝ variableᵉˣᵖᵒⁿᵉⁿᵗ.
#[derive(Clone, Debug, Serialize)]
pub struct Growth {
    /// What grows: `batch`, `width` or `tangents`.
    pub variable: String,
    /// The operation; a block has as many vectors as there are tangents.
    pub op: String,
    /// The number of threads.
    pub threads: usize,
    /// The network.
    pub network: String,
    /// The slope of the line through the logarithms, by least squares.
    pub exponent: f64,
    /// Values of the variable with the seconds of the fastest call.
    pub points: Vec<(f64, f64)>,
}

/// A dense matrix that was refused, or would be.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    /// The case, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The operation.
    pub op: String,
    /// `f32` or `f64`.
    pub dtype: String,
    /// The number of parameters.
    pub n: u64,
    /// The bytes that it would take. More than a JSON reader's integers hold: a float.
    pub required_bytes: f64,
    /// The bytes that were allowed.
    pub budget_bytes: f64,
    /// The engine's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
