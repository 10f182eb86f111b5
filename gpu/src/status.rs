//! What is known of the GPU driver: for messages, and for whoever diagnoses a machine.

use vincie_driver::{Driver, LIBRARY_VARIABLE, Out, call, library, select, selected};

/// What came of looking for a GPU driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverStatus {
    /// The name under which its library was opened.
    pub library: Option<String>,
    /// What was tried without success, each with the dynamic loader's reason.
    pub tried: Vec<String>,
    /// The CUDA version of the driver, major and minor.
    pub version: Option<(u32, u32)>,
    /// Number of GPUs, or why the driver gives none.
    pub devices: Result<u32, String>,
}

/// Opens the driver's library, as any use of a GPU does, and asks for its version.
pub fn driver_status() -> DriverStatus {
    let before = selected();
    select(Driver::Library);
    let library = library();
    let (mut version, mut count) = (0, 0);
    // SAFETY: the results have room for what the calls write.
    let (has_version, start) = unsafe {
        let has_version = call::cuDriverGetVersion(Out::to(&mut version)).is_success();
        let start = call::cuInit(0);
        let counted =
            if start.is_success() { call::cuDeviceGetCount(Out::to(&mut count)) } else { start };
        (has_version, counted)
    };
    select(before);
    let version = u32::try_from(version).ok().filter(|version| has_version && *version > 0);
    DriverStatus {
        library: library.name.clone(),
        tried: library.tried.clone(),
        version: version.map(|version| (version / 1000, version % 1000 / 10)),
        devices: if start.is_success() {
            Ok(u32::try_from(count).unwrap_or(0))
        } else {
            Err(start.to_string())
        },
    }
}

impl DriverStatus {
    /// All of it in one line.
    pub fn line(&self) -> String {
        let Some(library) = &self.library else {
            return format!(
                "no GPU driver: {} ({LIBRARY_VARIABLE} names another library)",
                self.tried.join("; ")
            );
        };
        let version = match self.version {
            Some((major, minor)) => format!("CUDA {major}.{minor}"),
            None => "of unknown version".to_owned(),
        };
        match &self.devices {
            Ok(count) => format!("GPU driver {library}, {version}, {count} devices"),
            Err(reason) => format!("GPU driver {library}, {version}, does not start: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line() {
        let status = driver_status();
        assert!(!status.line().contains('\n'), "{}", status.line());
        assert_eq!(status.library.is_some(), status.line().starts_with("GPU driver"));
        let missing = DriverStatus {
            library: None,
            tried: vec!["libcuda.so.1: not found".into()],
            version: None,
            devices: Err(String::new()),
        };
        assert!(missing.line().contains("libcuda.so.1: not found"));
    }
}
