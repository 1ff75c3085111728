"""Learning a start from the masks of finished runs."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.learning.config import LearnConfig
    from pipeline.learning.learner import Learnt, learn
    from pipeline.learning.lessons import Lessons, lessons_of
else:
    __getattr__, __dir__ = lazy(__name__)
