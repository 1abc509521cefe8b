"""How each entry of the list of process state is changed by code that knows nothing of us."""

from __future__ import annotations

MKLDNN = ("mkldnn.matmul.", "mkldnn.conv.", "mkldnn.rnn.")
TORCH = {
    "torch's function modes": "torch.set_default_device('meta')",
    "torch's dispatch modes": (
        "from torch.utils._python_dispatch import TorchDispatchMode\n"
        "class Mode(TorchDispatchMode):\n"
        "    def __torch_dispatch__(self, func, types, args=(), kwargs=None): return func(*args, **(kwargs or {}))\n"
        "kept_mode = Mode(); kept_mode.__enter__()"
    ),
    "torch.inference_mode": "kept_guard = torch.inference_mode(); kept_guard.__enter__()",
    "torch.is_grad_enabled": "torch.set_grad_enabled(False)",
    "torch.get_default_dtype": "torch.set_default_dtype(torch.float64)",
    "torch.autograd.set_detect_anomaly": "torch.autograd.set_detect_anomaly(True)",
    "torch.get_deterministic_debug_mode": "torch.use_deterministic_algorithms(True)",
    "torch.autocast": "torch.autocast('cpu').__enter__()",
    "torch.get_num_threads": "torch.set_num_threads(7)",
    "torch's saved-tensor hooks": "torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x).__enter__()",
    "torch's forward-mode levels": "torch.autograd.forward_ad.enter_dual_level()",
    "torch's global hooks": (
        "import torch.optim.optimizer as O\n"
        "for register in (M.register_module_buffer_registration_hook, M.register_module_module_registration_hook,\n"
        "                 M.register_module_parameter_registration_hook, M.register_module_full_backward_pre_hook,\n"
        "                 M.register_module_full_backward_hook, M.register_module_forward_pre_hook,\n"
        "                 O.register_optimizer_step_pre_hook, O.register_optimizer_step_post_hook):\n"
        "    register(lambda *a: None)\n"
        "M.register_module_forward_hook(lambda m, x, y: y * 2)\n"
        "M.register_module_forward_hook(lambda *a, **b: None, with_kwargs=True, always_call=True)"
    ),
    "torch's random numbers": "torch.manual_seed(3)",
    "torch.backends.cudnn.enabled": "torch.backends.cudnn.enabled = False",
    "torch.backends.cudnn.benchmark": "torch.backends.cudnn.benchmark = True",
    "torch.backends.cudnn.deterministic": "torch.backends.cudnn.deterministic = True",
    "torch.backends.mkldnn.enabled": "torch.backends.mkldnn.enabled = False",
    "torch.backends.mkldnn.deterministic": "torch.backends.mkldnn.deterministic = True",
    "torch's NNPACK": "torch.backends.nnpack.set_flags(False)",
    "torch.backends.quantized.engine": "torch.backends.quantized.engine = 'qnnpack'",
    "torch.backends.opt_einsum.enabled": "torch.backends.opt_einsum.enabled = not torch.backends.opt_einsum.enabled",
    "torch.backends.opt_einsum.strategy": "torch.backends.opt_einsum.strategy = 'greedy'",
    "torch.backends.cuda.matmul.allow_fp16_accumulation": ("torch.backends.cuda.matmul.allow_fp16_accumulation = True"),
    "torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction": (
        "torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False"
    ),
    "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction": (
        "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False"
    ),
    **{
        f"torch.backends.cuda.{name}_sdp_enabled": f"torch.backends.cuda.enable_{name}_sdp(False)"
        for name in ("flash", "mem_efficient", "math", "cudnn")
    },
    **{
        f"torch.backends.{name}fp32_precision": f"torch.backends.{name}fp32_precision = 'ieee'"
        for name in ("", "cudnn.", "mkldnn.", "cuda.matmul.", "cudnn.conv.", "cudnn.rnn.", *MKLDNN)
    },
    "torch.utils.deterministic.fill_uninitialized_memory": (
        "torch.utils.deterministic.fill_uninitialized_memory = False"
    ),
    "torch.is_warn_always_enabled": "torch.set_warn_always(True)",
    "torch.sparse.check_sparse_tensor_invariants.is_enabled": "torch.sparse.check_sparse_tensor_invariants.enable()",
    "torch.__future__.get_overwrite_module_params_on_conversion": (
        "torch.__future__.set_overwrite_module_params_on_conversion(True)"
    ),
    "torch.__future__.get_swap_module_params_on_conversion": (
        "torch.__future__.set_swap_module_params_on_conversion(True)"
    ),
    "torch's print options": "torch.set_printoptions(precision=2)",
}

PENNYLANE = {
    "pennylane.decomposition.enabled_graph": "qml.decomposition.enable_graph()",
    "pennylane.queuing.QueuingManager._active_contexts": "qml.queuing.AnnotatedQueue().__enter__()",
}

PYTHON = {
    "limits of resources": "import resource as r; r.setrlimit(r.RLIMIT_CORE, (1, r.getrlimit(r.RLIMIT_CORE)[1]))",
    "files that stdout and stderr go to": "os.close(1); os.dup2(os.open('/dev/null', os.O_WRONLY), 2)",
    "sys.modules": "import json; sys.modules['mailcap'] = None; del sys.modules['json']",
    "sys.stdin": "import io; sys.stdin = io.StringIO()",
    "sys.excepthook": "sys.excepthook = lambda *a: None",
    "sys.unraisablehook": "sys.unraisablehook = lambda *a: None",
    "sys.displayhook": "sys.displayhook = lambda *a: None",
    "threading.excepthook": "threading.excepthook = lambda *a: None",
    "sys.getrecursionlimit": "sys.setrecursionlimit(sys.getrecursionlimit() + 77)",
    "sys.getswitchinterval": "sys.setswitchinterval(0.5)",
    "sys.get_int_max_str_digits": "sys.set_int_max_str_digits(0)",
    "sys.gettrace": "sys.settrace(lambda *a: None)",
    "sys.getprofile": "sys.setprofile(lambda *a: None)",
    "threading._trace_hook": "threading.settrace(lambda *a: None)",
    "threading._profile_hook": "threading.setprofile(lambda *a: None)",
    "sys.path": "sys.path.insert(0, '/nowhere')",
    "sys.meta_path": "sys.meta_path.insert(0, type('F', (), {'find_spec': lambda *a: None})())",
    "sys.path_hooks": "sys.path_hooks.clear()",
    "warnings.filters": "import warnings; warnings.simplefilter('ignore')",
    "warnings.showwarning": "import warnings; warnings.showwarning = print",
    "gc.isenabled": "import gc; gc.disable()",
    "gc.get_threshold": "import gc; gc.set_threshold(5, 5, 5)",
    "gc.get_debug": "import gc; gc.set_debug(gc.DEBUG_UNCOLLECTABLE)",
    "gc.callbacks": "import gc; gc.callbacks.append(lambda *a: None)",
    "faulthandler": "import faulthandler as f; f.disable() if f.is_enabled() else f.enable(2)",
    "signal handlers": "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
    "blocked signals": "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])",
    "timers": "import signal; signal.alarm(1000)",
    "working directory": "os.chdir('/')",
    "umask": "os.umask(0o123)",
    "environment variables": "os.environ['OMP_NUM_THREADS'] = '3'; os.environ.pop('HOME', 0)",
    "locale": "import locale; locale.setlocale(locale.LC_ALL, 'C')",
    "whether subnormal numbers are kept": "torch.set_flush_denormal(True)",
    "decimal.getcontext": "import decimal; decimal.getcontext().prec = 3",
    "random's random numbers": "import random; random.seed(3)",
    "logging.root.level": "import logging; logging.getLogger().setLevel(3)",
    "logging.root.handlers": "import logging; logging.getLogger().addHandler(logging.NullHandler())",
    "logging.root.filters": "import logging; logging.getLogger().addFilter(lambda record: True)",
    "logging.root.manager.disable": "import logging; logging.disable(logging.CRITICAL)",
    "logging._loggerClass": "import logging; logging.setLoggerClass(type('L', (logging.Logger,), {}))",
    "logging.raiseExceptions": "import logging; logging.raiseExceptions = not logging.raiseExceptions",
    "asyncio.events._event_loop_policy": (
        "import asyncio; asyncio.set_event_loop_policy(type('P', (asyncio.DefaultEventLoopPolicy,), {})())"
    ),
    "multiprocessing.get_start_method": "import multiprocessing; multiprocessing.set_start_method('spawn', force=True)",
    "numpy.geterr": "np.seterr(all='raise')",
    "numpy.geterrcall": "np.seterrcall(lambda *a: None)",
    "numpy.getbufsize": "np.setbufsize(16384)",
    "numpy.get_printoptions": "np.set_printoptions(precision=1)",
    "numpy's random numbers": "np.random.seed(3)",
}

CHANGES = {**TORCH, **PENNYLANE, **PYTHON}
ELSEWHERE = {
    "torch.backends.cuda.preferred_linalg_library",
    "torch.backends.cuda.preferred_blas_library",
    "pennylane.capture.enabled",
}  # need CUDA or JAX
FOR_GOOD = "torch.get_num_interop_threads"  # torch takes it once for a process
IMPORTS = (
    "import os, sys, threading, torch\nimport numpy as np, pennylane as qml\nimport torch.nn.modules.module as M\n"
)


def all_changes(*but: str) -> str:
    """One function that makes every change, those that disturb the others last; but: those that it does not make."""
    last = [*TORCH][:3]
    ordered = [code for name, code in CHANGES.items() if name not in (*last, *but)] + [CHANGES[name] for name in last]
    lines = "\n".join(ordered).replace("\n", "\n    ")
    return f"\n\ndef change_all():\n    {IMPORTS.strip().replace(chr(10), chr(10) + '    ')}\n    {lines}\n"
