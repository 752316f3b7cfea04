//! A reader of pickles that runs nothing: a stack machine for the opcodes with which `torch.save` writes a dictionary of tensors.
//!
//! Five calls are understood, as data: `torch._utils._rebuild_tensor_v2`, `torch._utils._rebuild_parameter`,
//! `collections.OrderedDict`, `torch.Size` and the persistent references to storages (`torch.FloatStorage` and its kin).
//! Any other name, and any other opcode, is an error that names it. A dictionary that holds one of tensors under a name in [`NESTS`]
//! (as training scripts save it, beside their optimizer and the last loss) stands for that other one.
//!
//! Cost: each opcode makes at most one node, and moves every stack entry once, so memory is a constant times the pickle.

use std::collections::HashMap;

use safetensors::tensor::Dtype;

/// Pickles larger than this are refused: a dictionary of ten thousand tensors takes three megabytes.
pub(super) const SIZE_LIMIT: usize = 16 << 20;

/// Names under which a dictionary of tensors lies inside another.
const NESTS: [&str; 5] = ["state_dict", "model_state_dict", "model", "base_model", "network"];

/// A tensor as a pickle describes it: a view of a storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TensorView {
    /// Key of the storage in the file.
    pub(super) storage: String,
    /// Type of its values.
    pub(super) dtype: Dtype,
    /// Number of the storage's values.
    pub(super) n_values: usize,
    /// First value of the view.
    pub(super) offset: usize,
    /// Length of each axis.
    pub(super) shape: Vec<usize>,
    /// Values from one entry to the next, along each axis.
    pub(super) strides: Vec<usize>,
}

/// What a pickle may hold beside tensors, in the order of the file, as far as it is looked at.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Top {
    /// A dictionary: each name with its tensor, or with a word for what else is there.
    Dict(Vec<(String, Result<TensorView, &'static str>)>),
    /// A list of strings.
    Names(Vec<String>),
    /// A whole number.
    Int(i64),
    /// Something else.
    Other(&'static str),
}

/// Why a pickle is not read: what is at fault and where.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Misfit {
    /// Position in the pickle.
    pub(super) at: usize,
    /// What is at fault.
    pub(super) found: String,
}

type Id = usize;

#[derive(Debug, Clone)]
enum Node {
    Atom(&'static str),
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Call),
    Storage { key: String, dtype: Dtype, n_values: usize },
    Tensor(TensorView),
}

/// Names that a pickle may mention.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Call {
    RebuildTensor,
    RebuildParameter,
    OrderedDict,
    Size,
    StorageOf(Dtype),
}

fn call(module: &str, name: &str) -> Option<Call> {
    Some(match (module, name) {
        ("torch._utils", "_rebuild_tensor_v2") => Call::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Call::RebuildParameter,
        ("collections", "OrderedDict") => Call::OrderedDict,
        ("torch", "Size") => Call::Size,
        ("torch", "FloatStorage") => Call::StorageOf(Dtype::F32),
        ("torch", "HalfStorage") => Call::StorageOf(Dtype::F16),
        ("torch", "BFloat16Storage") => Call::StorageOf(Dtype::BF16),
        ("torch", "DoubleStorage") => Call::StorageOf(Dtype::F64),
        ("torch", "LongStorage") => Call::StorageOf(Dtype::I64),
        ("torch", "IntStorage") => Call::StorageOf(Dtype::I32),
        ("torch", "ShortStorage") => Call::StorageOf(Dtype::I16),
        ("torch", "CharStorage") => Call::StorageOf(Dtype::I8),
        ("torch", "ByteStorage") => Call::StorageOf(Dtype::U8),
        ("torch", "BoolStorage") => Call::StorageOf(Dtype::BOOL),
        _ => return None,
    })
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

/// Reads one pickle at the beginning of `bytes`; returns what it holds and its length.
pub(super) fn read(bytes: &[u8]) -> Result<(Top, usize), Misfit> {
    let mut machine = Machine {
        bytes: &bytes[..bytes.len().min(SIZE_LIMIT)],
        at: 0,
        nodes: vec![],
        stack: vec![],
        marks: vec![],
        memo: HashMap::new(),
    };
    loop {
        let at = machine.at;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(top)) => return Ok((machine.top(top), machine.at)),
            Err(found) => return Err(Misfit { at, found }),
        }
    }
}

type Step<T> = Result<T, String>;

impl Machine<'_> {
    /// Runs one opcode; the result, when it was the last.
    fn step(&mut self) -> Step<Option<Id>> {
        let opcode = self.take(1)?[0];
        match opcode {
            0x80 => _ = self.take(1)?,                 // PROTO
            0x95 => _ = self.take(8)?,                 // FRAME
            b'(' => self.marks.push(self.stack.len()), // MARK
            b'.' => return self.pop().map(Some),       // STOP
            b'0' => _ = self.pop()?,                   // POP
            b'N' => self.push(Node::Atom("None")),
            0x88 | 0x89 => self.push(Node::Atom("a truth value")), // NEWTRUE, NEWFALSE
            b'K' => self.int(1)?,                                  // BININT1
            b'M' => self.int(2)?,                                  // BININT2
            b'J' => self.int(4)?,                                  // BININT
            0x8a => {
                let n = self.length(1)?; // LONG1
                self.int(n)?;
            }
            b'G' => {
                self.take(8)?; // BINFLOAT
                self.push(Node::Atom("a number"));
            }
            b'X' => self.text(4)?,        // BINUNICODE
            0x8c | b'U' => self.text(1)?, // SHORT_BINUNICODE, SHORT_BINSTRING
            b')' => self.push(Node::Tuple(vec![])),
            b']' => self.push(Node::List(vec![])),
            b'}' => self.push(Node::Dict(vec![])),
            0x85..=0x87 => {
                let n = usize::from(opcode - 0x84); // TUPLE1, TUPLE2, TUPLE3
                let from = self.stack.len().checked_sub(n).filter(|&f| f >= self.floor());
                let items = self.stack.split_off(from.ok_or("a tuple of more than there is")?);
                self.push(Node::Tuple(items));
            }
            b't' => {
                let items = self.since_mark()?; // TUPLE
                self.push(Node::Tuple(items));
            }
            b'l' => {
                let items = self.since_mark()?; // LIST
                self.push(Node::List(items));
            }
            b'a' => {
                let item = self.pop()?; // APPEND
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?; // APPENDS
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?); // SETITEM
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?; // SETITEMS
                self.set(&items)?;
            }
            b'q' => self.put(1)?, // BINPUT
            b'r' => self.put(4)?, // LONG_BINPUT
            0x94 => {
                let (key, top) = (self.memo.len() as u64, self.peek()?); // MEMOIZE
                self.memo.insert(key, top);
            }
            b'h' => self.get(1)?, // BINGET
            b'j' => self.get(4)?, // LONG_BINGET
            b'c' => {
                let (module, name) = (self.line()?, self.line()?); // GLOBAL
                self.global(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?); // STACK_GLOBAL
                let (Node::Text(module), Node::Text(name)) = (&self.nodes[module], &self.nodes[name]) else {
                    return Err("a global whose name is no text".into());
                };
                let (module, name) = (module.clone(), name.clone());
                self.global(&module, &name)?;
            }
            b'Q' => {
                let id = self.pop()?; // BINPERSID
                let storage = self.storage(id)?;
                self.push(storage);
            }
            b'R' => {
                let (arguments, called) = (self.pop()?, self.pop()?); // REDUCE
                let made = self.reduce(called, arguments)?;
                self.push(made);
            }
            b'b' => {
                let (_, object) = (self.pop()?, self.peek()?); // BUILD: attributes such as `_metadata`
                if !matches!(self.nodes[object], Node::Dict(_)) {
                    return Err("attributes set on what is no dictionary".into());
                }
            }
            other => return Err(format!("opcode {other:#04x}")),
        }
        Ok(None)
    }

    fn take(&mut self, n: usize) -> Step<&[u8]> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| "its end before STOP".to_string())?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn length(&mut self, n_bytes: usize) -> Step<usize> {
        let bytes = self.take(n_bytes)?;
        Ok(bytes.iter().rev().fold(0usize, |n, &b| n << 8 | usize::from(b)))
    }

    /// A little-endian whole number; signed at four bytes and in LONG1.
    fn int(&mut self, n_bytes: usize) -> Step<()> {
        let bytes = self.take(n_bytes)?;
        if n_bytes > 8 {
            self.push(Node::Atom("a long number"));
            return Ok(());
        }
        let negative = n_bytes > 2 && bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..n_bytes].copy_from_slice(bytes);
        self.push(Node::Int(i64::from_le_bytes(wide)));
        Ok(())
    }

    fn text(&mut self, n_bytes: usize) -> Step<()> {
        let n = self.length(n_bytes)?;
        let text = std::str::from_utf8(self.take(n)?).map_err(|_| "text that is not UTF-8")?.to_string();
        self.push(Node::Text(text));
        Ok(())
    }

    fn line(&mut self) -> Step<String> {
        let rest = &self.bytes[self.at..];
        let n = rest.iter().take(256).position(|&b| b == b'\n').ok_or("a name without an end")?;
        let text = std::str::from_utf8(&rest[..n]).map_err(|_| "a name that is not UTF-8")?.to_string();
        self.at += n + 1;
        Ok(text)
    }

    fn push(&mut self, node: Node) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    /// What a mark keeps from being popped.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Step<Id> {
        let top = self.peek()?;
        self.stack.pop();
        Ok(top)
    }

    fn peek(&self) -> Step<Id> {
        let top = self.stack.last().filter(|_| self.stack.len() > self.floor());
        top.copied().ok_or_else(|| "an empty stack".into())
    }

    fn since_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or("items without a mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn append(&mut self, items: Vec<Id>) -> Step<()> {
        let list = self.peek()?;
        match &mut self.nodes[list] {
            Node::List(old) => {
                old.extend(items);
                Ok(())
            }
            _ => Err("items appended to what is no list".into()),
        }
    }

    fn set(&mut self, items: &[Id]) -> Step<()> {
        let dict = self.peek()?;
        match &mut self.nodes[dict] {
            Node::Dict(entries) if items.len().is_multiple_of(2) => {
                entries.extend(items.as_chunks::<2>().0.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => Err("entries set in what is no dictionary".into()),
        }
    }

    fn put(&mut self, n_bytes: usize) -> Step<()> {
        let (key, top) = (self.length(n_bytes)? as u64, self.peek()?);
        self.memo.insert(key, top);
        Ok(())
    }

    fn get(&mut self, n_bytes: usize) -> Step<()> {
        let key = self.length(n_bytes)? as u64;
        let id = *self.memo.get(&key).ok_or("a reference to nothing")?;
        self.stack.push(id);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Step<()> {
        let found = call(module, name).ok_or_else(|| format!("the name {module}.{name}"))?;
        self.push(Node::Global(found));
        Ok(())
    }

    fn tuple(&self, id: Id) -> Step<&[Id]> {
        match &self.nodes[id] {
            Node::Tuple(items) => Ok(items),
            _ => Err("arguments that are no tuple".into()),
        }
    }

    fn sizes(&self, id: Id) -> Step<Vec<usize>> {
        let whole = |&id: &Id| match self.nodes[id] {
            Node::Int(n) => usize::try_from(n).ok(),
            _ => None,
        };
        let items = self.tuple(id)?;
        let sizes = (items.len() <= 16).then(|| items.iter().map(whole).collect::<Option<_>>()).flatten();
        sizes.ok_or_else(|| "sizes that are no whole numbers".into())
    }

    /// `('storage', type, key, device, length)`.
    fn storage(&self, id: Id) -> Step<Node> {
        let items = self.tuple(id)?;
        let node = |i: usize| items.get(i).map(|&id| &self.nodes[id]);
        match (node(0), node(1), node(2), node(4)) {
            (
                Some(Node::Text(kind)),
                Some(&Node::Global(Call::StorageOf(dtype))),
                Some(Node::Text(key)),
                Some(&Node::Int(n)),
            ) if kind == "storage" && n >= 0 => {
                Ok(Node::Storage { key: key.clone(), dtype, n_values: n as usize })
            }
            _ => Err("a persistent reference that is no storage".into()),
        }
    }

    fn reduce(&self, called: Id, arguments: Id) -> Step<Node> {
        let Node::Global(call) = self.nodes[called] else {
            return Err("a call of what is no name".into());
        };
        let items = self.tuple(arguments)?;
        match (call, items) {
            (Call::OrderedDict, []) => Ok(Node::Dict(vec![])),
            (Call::Size, &[sizes]) => Ok(Node::Tuple(self.tuple(sizes)?.to_vec())),
            (Call::RebuildParameter, &[tensor, ..]) => match &self.nodes[tensor] {
                Node::Tensor(view) => Ok(Node::Tensor(view.clone())),
                _ => Err("a parameter that is no tensor".into()),
            },
            (Call::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                match (&self.nodes[storage], &self.nodes[offset]) {
                    (Node::Storage { key, dtype, n_values }, &Node::Int(offset)) if offset >= 0 => {
                        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
                        let (storage, dtype, n_values, offset) =
                            (key.clone(), *dtype, *n_values, offset as usize);
                        Ok(Node::Tensor(TensorView { storage, dtype, n_values, offset, shape, strides }))
                    }
                    _ => Err("a tensor without a storage".into()),
                }
            }
            _ => Err(format!("a call of {call:?} with {} arguments", items.len())),
        }
    }

    /// The dictionary of tensors inside of another.
    fn nested(&self, id: Id) -> Option<Id> {
        let Node::Dict(entries) = &self.nodes[id] else { return None };
        let is_nest = |id: Id| matches!(&self.nodes[id], Node::Text(name) if NESTS.contains(&name.as_str()));
        let holds_tensors = |id: Id| match &self.nodes[id] {
            Node::Dict(entries) => {
                entries.iter().any(|&(_, value)| matches!(self.nodes[value], Node::Tensor(_)))
            }
            _ => false,
        };
        let nest = |&&(key, value): &&(Id, Id)| is_nest(key) && holds_tensors(value);
        entries.iter().find(nest).map(|&(_, value)| value)
    }

    fn top(&self, id: Id) -> Top {
        let text = |&id: &Id| match &self.nodes[id] {
            Node::Text(text) => Some(text.clone()),
            _ => None,
        };
        match &self.nodes[self.nested(id).unwrap_or(id)] {
            Node::Dict(entries) => {
                let entry = |(key, value): &(Id, Id)| {
                    let value = match &self.nodes[*value] {
                        Node::Tensor(view) => Ok(view.clone()),
                        other => Err(word(other)),
                    };
                    Some((text(key)?, value))
                };
                let named = entries.iter().map(entry).collect::<Option<_>>();
                named.map_or(Top::Other("a dictionary whose keys are no names"), Top::Dict)
            }
            Node::List(items) => {
                let names = items.iter().map(text).collect::<Option<_>>();
                names.map_or(Top::Other("a list of what are no names"), Top::Names)
            }
            Node::Int(n) => Top::Int(*n),
            other => Top::Other(word(other)),
        }
    }
}

/// A word for what stands where a tensor should.
fn word(node: &Node) -> &'static str {
    match node {
        Node::Atom(word) => word,
        Node::Int(_) => "a whole number",
        Node::Text(_) => "a text",
        Node::Tuple(_) => "a tuple",
        Node::List(_) => "a list",
        Node::Dict(_) => "a dictionary",
        Node::Global(_) => "a name of Python",
        Node::Storage { .. } => "a bare storage",
        Node::Tensor(_) => "a tensor",
    }
}
