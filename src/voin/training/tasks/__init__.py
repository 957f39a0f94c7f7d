"""What is trained: a file a task, and the list of them.

A task holds its networks, makes their inputs of a batch (`prepare`, without gradients, beside the training), runs them
as the pipeline does (`predict`), and compares (`forward`: one value a term of `losses.py`).
All terms are means over clips, so that processes which share a batch have the gradients of one.
"""

from collections.abc import Callable

from voin.training.options import Stage
from voin.training.tasks.base import Task
from voin.training.tasks.colours import DeepfillTask, LgtsmTask, SttnTask
from voin.training.tasks.completion import DfviTask
from voin.training.tasks.edges import EdgesTask
from voin.training.tasks.fill import FillTask
from voin.training.tasks.flow import FlowTask
from voin.training.tasks.joint import JointTask
from voin.training.tasks.pcnet import PcnetTask
from voin.training.tasks.self_supervised import PcnetCTask, PcnetMTask
from voin.training.tasks.shape import ShapeTask

TASKS: dict[Stage, Callable[..., Task]] = {
    "shape": ShapeTask,
    "flow": FlowTask,
    "fill": FillTask,
    "joint": JointTask,
    # Baselines and their parts.
    "sttn": SttnTask,
    "lgtsm": LgtsmTask,
    "deepfill": DeepfillTask,
    "dfvi": DfviTask,
    "edges": EdgesTask,
    "pcnet": PcnetTask,
    "pcnet-m": PcnetMTask,
    "pcnet-c": PcnetCTask,
}
