//! lego
