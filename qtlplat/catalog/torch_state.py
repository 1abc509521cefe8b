"""What can be changed about torch and PennyLane for a whole process. Neither is imported here."""

from __future__ import annotations

import sys
from typing import Any

from qtlplat.catalog.state import State, attribute, listed, on_off, switch

_FP32 = [("generic", "all"), *((b, op) for b in ("cuda", "mkldnn") for op in ("all", "matmul", "conv", "rnn"))]
_HOOKS = [
    "torch.optim.optimizer._global_optimizer_pre_hooks",
    "torch.optim.optimizer._global_optimizer_post_hooks",
    *(
        f"torch.nn.modules.module._global_{name}"
        for name in (
            "buffer_registration_hooks",
            "module_registration_hooks",
            "parameter_registration_hooks",
            "backward_pre_hooks",
            "backward_hooks",
            "forward_pre_hooks",
            "forward_hooks",
            "forward_hooks_always_called",
            "forward_hooks_with_kwargs",
        )
    ),
]
_entered: list[Any] = []  # guards that put inference mode back; it would return if they went


def _torch() -> Any:
    return sys.modules["torch"]


def _function_modes() -> tuple[Any, ...]:
    """The stack of function modes; the default device is one of them."""
    torch = _torch()
    context = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    stack = torch._C._len_torch_function_stack() and torch.overrides._get_current_function_mode_stack()
    return (context, *stack) if stack else (context,)


def _put_function_modes(before: tuple[Any, ...]) -> None:
    overrides = _torch().overrides
    for _ in overrides._get_current_function_mode_stack():
        overrides._pop_mode()
    context, *stack = before
    for mode in stack:
        overrides._push_mode(mode)
    _torch()._GLOBAL_DEVICE_CONTEXT.device_context = context


def _dispatch_modes() -> list[Any]:
    found: list[Any] = _torch().utils._python_dispatch._get_current_dispatch_mode_stack()
    return found


def _put_dispatch_modes(before: list[Any]) -> None:
    while len(_dispatch_modes()) > len(before):
        _torch().utils._python_dispatch._pop_mode()


def _saved_tensor_hooks() -> Any:
    return _torch()._C._autograd._top_saved_tensors_default_hooks(True)


def _put_saved_tensor_hooks(before: Any) -> None:
    while _saved_tensor_hooks() not in (None, before):
        _torch()._C._autograd._pop_saved_tensors_default_hooks()


def _hook_tables() -> list[dict[Any, Any]]:
    return [getattr(sys.modules[module], name) for module, _, name in (hook.rpartition(".") for hook in _HOOKS)]


def _hooks() -> list[dict[Any, Any]]:
    tables = _hook_tables()
    return [dict(table) for table in tables] if any(tables) else []


def _put_hooks(before: list[dict[Any, Any]]) -> None:
    tables = _hook_tables()
    for table, hooks in zip(tables, before or [{} for _ in tables], strict=True):
        table.clear()
        table.update(hooks)
    if not any(tables):
        sys.modules["torch.nn.modules.module"]._global_is_full_backward_hook = None  # type: ignore[attr-defined]


def _put_inference_mode(before: bool) -> None:
    _entered.append(_torch().autograd.grad_mode._enter_inference_mode(before))


def _put_forward_levels(before: int) -> None:
    forward_ad = _torch().autograd.forward_ad
    while forward_ad._current_level > before:
        forward_ad.exit_dual_level()


def _anomaly() -> tuple[bool, bool]:
    return _torch().is_anomaly_enabled(), _torch().is_anomaly_check_nan_enabled()


def _deterministic() -> tuple[bool, bool]:
    torch = _torch()
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _autocast() -> tuple[Any, ...]:
    on, dtype = _torch().is_autocast_enabled, _torch().get_autocast_dtype
    kinds = ("cpu", on("cpu"), dtype("cpu")), ("cuda", on("cuda"), dtype("cuda"))
    return _torch().is_autocast_cache_enabled(), *kinds


def _put_autocast(before: tuple[Any, ...]) -> None:
    cache, *kinds = before
    for kind, enabled, dtype in kinds:
        _torch().set_autocast_enabled(kind, enabled)
        _torch().set_autocast_dtype(kind, dtype)
    _torch().set_autocast_cache_enabled(cache)


def _fp32_precision() -> list[str]:
    return [_torch()._C._get_fp32_precision_getter(*place) for place in _FP32]


def _put_fp32_precision(before: list[str]) -> None:
    for place, value in zip(_FP32, before, strict=True):
        if _torch()._C._get_fp32_precision_getter(*place) != value:
            _torch()._C._set_fp32_precision_setter(*place, value)


def _random_state() -> tuple[bytes, ...]:
    torch = _torch()
    there = torch.cuda.is_initialized()
    states = [torch.default_generator.get_state(), *(torch.cuda.get_rng_state_all() if there else ())]
    return tuple(state.numpy().tobytes() for state in states)


def _put_random_state(before: tuple[bytes, ...]) -> None:
    torch = _torch()
    cpu, *others = (torch.frombuffer(bytearray(one), dtype=torch.uint8) for one in before)
    torch.default_generator.set_state(cpu)
    if others:
        torch.cuda.set_rng_state_all(others)


def _cannot(_before: object) -> None:
    """Torch sets it once for a process."""


TORCH = (
    # first those that change what the others see and do
    State("torch's function modes and default device", _function_modes, _put_function_modes, "torch", often=True),
    State("torch's dispatch modes", _dispatch_modes, _put_dispatch_modes, "torch", often=True),
    State(
        "torch's inference mode",
        lambda: _torch().is_inference_mode_enabled(),
        _put_inference_mode,
        "torch",
        often=True,
    ),
    switch("torch's gradients", "torch", "is_grad_enabled", "set_grad_enabled", often=True),
    switch("torch's default dtype", "torch", "get_default_dtype", "set_default_dtype", often=True),
    State(
        "torch's detection of anomalies",
        _anomaly,
        lambda v: _torch().autograd.set_detect_anomaly(*v),
        "torch",
        often=True,
    ),
    State(
        "torch's deterministic algorithms",
        _deterministic,
        lambda v: _torch().use_deterministic_algorithms(v[0], warn_only=v[1]),
        "torch",
        often=True,
    ),
    State("torch's autocast", _autocast, _put_autocast, "torch", often=True),
    switch("torch's number of threads", "torch", "get_num_threads", "set_num_threads", often=True),
    State("torch's number of inter-op threads", lambda: _torch().get_num_interop_threads(), _cannot, "torch"),
    State("torch's saved-tensor hooks", _saved_tensor_hooks, _put_saved_tensor_hooks, "torch", often=True),
    State(
        "torch's forward-mode levels",
        lambda: _torch().autograd.forward_ad._current_level,
        _put_forward_levels,
        "torch",
        often=True,
    ),
    State("torch's global hooks", _hooks, _put_hooks, "torch", often=True),
    State("torch's float32 precision", _fp32_precision, _put_fp32_precision, "torch"),
    State("torch's random numbers", _random_state, _put_random_state, "torch", random=True),
    *(
        attribute(f"torch.backends.{name}", "torch.backends", name)
        for name in (
            "cudnn.enabled",
            "cudnn.benchmark",
            "cudnn.deterministic",
            "mkldnn.enabled",
            "mkldnn.deterministic",
            "quantized.engine",
            "opt_einsum.enabled",
            "opt_einsum.strategy",
            "cuda.matmul.allow_fp16_accumulation",
            "cuda.matmul.allow_fp16_reduced_precision_reduction",
            "cuda.matmul.allow_bf16_reduced_precision_reduction",
        )
    ),
    *(
        switch(f"torch's {name} attention", "torch.backends.cuda", f"{name}_sdp_enabled", f"enable_{name}_sdp")
        for name in ("flash", "mem_efficient", "math", "cudnn")
    ),
    switch("torch's NNPACK", "torch._C", "_get_nnpack_enabled", "_set_nnpack_enabled"),
    switch("torch's linear algebra", "torch._C", "_get_linalg_preferred_backend", "_set_linalg_preferred_backend"),
    switch("torch's CUDA products", "torch._C", "_get_blas_preferred_backend", "_set_blas_preferred_backend"),
    attribute("torch's filling of fresh memory", "torch.utils.deterministic", "fill_uninitialized_memory"),
    switch("torch's repeated warnings", "torch", "is_warn_always_enabled", "set_warn_always"),
    on_off(
        "torch's checks of sparse tensors",
        "torch.sparse",
        "check_sparse_tensor_invariants.is_enabled",
        "check_sparse_tensor_invariants.enable",
        "check_sparse_tensor_invariants.disable",
    ),
    *(
        switch(f"torch's {name.replace('_', ' ')}", "torch.__future__", f"get_{name}", f"set_{name}")
        for name in ("overwrite_module_params_on_conversion", "swap_module_params_on_conversion")
    ),
    State(
        "torch's print options",
        lambda: dict(vars(_torch()._tensor_str.PRINT_OPTS)),
        lambda v: vars(_torch()._tensor_str.PRINT_OPTS).update(v),
        "torch",
    ),
)

PENNYLANE = (
    on_off("PennyLane's program capture", "pennylane.capture", "enabled", "enable", "disable"),
    on_off(
        "PennyLane's graph of decompositions",
        "pennylane.decomposition",
        "enabled_graph",
        "enable_graph",
        "disable_graph",
    ),
    listed("PennyLane's queues", "pennylane.queuing", "QueuingManager._active_contexts"),
)
