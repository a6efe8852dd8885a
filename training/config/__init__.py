"""A recipe: one TOML file that says everything about a training run except where its data lie."""

from training.config.caption import CaptionRecipe, CaptionSection, DescribedData
from training.config.classify import ClassificationRecipe, ClassifierSection, LabelledData
from training.config.generate import (
    ChatRecipe,
    DialogueData,
    LanguageModelRecipe,
    LanguageModelSection,
    TextData,
)
from training.config.predict import PredictionRecipe, SeriesData
from training.config.recipe import Recipe, TextRecipe
from training.config.recipes import RECIPES, RecipeError, load_recipe, parse_recipe
from training.config.sections import (
    Attention,
    Cell,
    DataSection,
    DecoderSection,
    EncoderSection,
    ExportSection,
    Section,
    TokenizerSection,
    TrainingSection,
)
from training.config.summarize import SummaryData, SummaryRecipe
from training.config.tag import CompressionData, CompressionRecipe, TaggedData, TaggerSection, TagRecipe
from training.config.transcribe import (
    RecordedData,
    SoundSection,
    StepwiseSection,
    TranscriptionRecipe,
    VoicesSection,
)
from training.config.translate import (
    PairData,
    Seq2SeqSection,
    SharedSection,
    SimultaneousSection,
    TranslationRecipe,
)

# fmt: off
__all__ = [
    "RECIPES",
    "Attention",
    "CaptionRecipe",
    "CaptionSection",
    "Cell",
    "ChatRecipe",
    "ClassificationRecipe",
    "ClassifierSection",
    "CompressionData",
    "CompressionRecipe",
    "DataSection",
    "DecoderSection",
    "DescribedData",
    "DialogueData",
    "EncoderSection",
    "ExportSection",
    "LabelledData",
    "LanguageModelRecipe",
    "LanguageModelSection",
    "PairData",
    "PredictionRecipe",
    "Recipe",
    "RecipeError",
    "RecordedData",
    "Section",
    "Seq2SeqSection",
    "SeriesData",
    "SharedSection",
    "SimultaneousSection",
    "SoundSection",
    "StepwiseSection",
    "SummaryData",
    "SummaryRecipe",
    "TagRecipe",
    "TaggedData",
    "TaggerSection",
    "TextData",
    "TextRecipe",
    "TokenizerSection",
    "TrainingSection",
    "TranscriptionRecipe",
    "TranslationRecipe",
    "VoicesSection",
    "load_recipe",
    "parse_recipe",
]
# fmt: on
