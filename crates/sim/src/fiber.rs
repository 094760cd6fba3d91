//! Threads of control that take turns on one thread of the host: [`Fiber`], and [`suspend`] within one.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ptr::NonNull;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

/// For how long a fiber gives way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// This many nanoseconds of virtual time.
    For(u64),
    /// Until it looks again whether what it polls for is there.
    Poll,
    /// Until it is woken.
    UntilWoken,
    /// For ever.
    Stopped,
}

type Way = Yielder<(), Pause>;

thread_local! {
    /// The way out of the fiber that runs on this thread of the host.
    static CURRENT: Cell<Option<NonNull<Way>>> = const { Cell::new(None) };
    /// Stacks of fibers that have ended.
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

/// A closure that can be left in the middle and returned to.
pub(crate) struct Fiber<'a> {
    /// `None` only while it is dropped.
    coroutine: Option<Coroutine<(), Pause, (), DefaultStack>>,
    borrows: PhantomData<&'a mut ()>,
}

impl<'a> Fiber<'a> {
    pub(crate) fn new(body: impl FnOnce() + 'a) -> Self {
        let stack = STACKS.with_borrow_mut(Vec::pop).unwrap_or_default();
        let body = move |way: &Way, (): ()| {
            CURRENT.set(Some(NonNull::from(way)));
            body();
        };
        // SAFETY: what the body borrows lives for 'a, and the fiber, which keeps 'a borrowed, ends the coroutine when it is
        // dropped. No fiber is forgotten: the machine keeps them in a Vec of its own.
        let coroutine = unsafe { Coroutine::with_stack_unchecked(stack, body) };
        Self { coroutine: Some(coroutine), borrows: PhantomData }
    }

    /// Runs it until it gives way (for how long), or ends (`None`).
    pub(crate) fn resume(&mut self) -> Option<Pause> {
        let result = self.coroutine.as_mut().map(|coroutine| coroutine.resume(()));
        CURRENT.set(None);
        result.and_then(CoroutineResult::as_yield)
    }
}

impl Drop for Fiber<'_> {
    fn drop(&mut self) {
        if let Some(mut coroutine) = self.coroutine.take() {
            coroutine.force_unwind();
            STACKS.with_borrow_mut(|stacks| stacks.push(coroutine.into_stack()));
        }
    }
}

/// Leaves the fiber that runs, until it is resumed. Outside of fibers it does nothing.
pub(crate) fn suspend(pause: Pause) {
    let current = CURRENT.get();
    if let Some(way) = current {
        // SAFETY: it was set by the fiber that runs, whose body has not returned, and the way lives on that fiber's stack.
        unsafe { way.as_ref() }.suspend(pause);
        CURRENT.set(current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fibers_take_turns_and_unwind_where_they_stand() {
        struct Noted<'a>(&'a RefCell<String>, char);
        impl Drop for Noted<'_> {
            fn drop(&mut self) {
                self.0.borrow_mut().push(self.1);
            }
        }
        let text = RefCell::new(String::new());
        let body = |first, second| {
            let text = &text;
            move || {
                let _noted = Noted(text, second);
                text.borrow_mut().push(first);
                suspend(Pause::For(1));
                text.borrow_mut().push(first);
            }
        };
        let (mut one, mut other) = (Fiber::new(body('a', 'A')), Fiber::new(body('b', 'B')));
        assert_eq!(one.resume(), Some(Pause::For(1)));
        assert_eq!(other.resume(), Some(Pause::For(1)));
        assert_eq!(one.resume(), None);
        drop(other);
        drop((one, Fiber::new(body('c', 'C'))));
        assert_eq!(*text.borrow(), "abaAB");
    }
}
