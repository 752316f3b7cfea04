//! The entropy coder: cumulative tables of integer symbols, and rANS streams of them, byte for byte CompressAI's.
