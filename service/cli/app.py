"""The commands, put together."""

from typing import Annotated

import typer

from service.cli import (
    caption,
    chat,
    classify,
    compare,
    distill,
    doctor,
    evaluate,
    generate,
    health,
    import_model,
    inspect,
    keys,
    models,
    predict,
    score,
    serve,
    sessions,
    summarize,
    tag,
    training,
    transcribe,
    translate,
    version,
)
from service.cli.access import with_access

app = typer.Typer(
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

SERVING = "Serve and use models"
TRAINING = "Make and measure models"


@app.callback(invoke_without_command=True)
def seqserve(
    context: typer.Context,
    wants_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Serve recurrent sequence models over gRPC, with state that belongs to a session.

    \b
    seqserve serve
    seqserve translate --from es --to en "¿Dónde está la biblioteca?"
    cat letters.txt | seqserve translate --from es --to en
    """
    if wants_version:
        version.print_version()
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command("serve", rich_help_panel=SERVING)(serve.serve)
app.command("translate", rich_help_panel=SERVING)(with_access(translate.translate))
app.command("classify", rich_help_panel=SERVING)(with_access(classify.classify))
app.command("tag", rich_help_panel=SERVING)(with_access(tag.tag))
app.command("summarize", rich_help_panel=SERVING)(with_access(summarize.summarize))
app.command("generate", rich_help_panel=SERVING)(with_access(generate.generate))
app.command("chat", rich_help_panel=SERVING)(with_access(chat.chat))
app.command("score", rich_help_panel=SERVING)(with_access(score.score))
app.command("transcribe", rich_help_panel=SERVING)(with_access(transcribe.transcribe))
app.command("caption", rich_help_panel=SERVING)(with_access(caption.caption))
app.command("predict", rich_help_panel=SERVING)(with_access(predict.predict))
app.command("models", rich_help_panel=SERVING)(with_access(models.models))
app.command("sessions", rich_help_panel=SERVING)(with_access(sessions.sessions))
app.command("health", rich_help_panel=SERVING)(with_access(health.health))
app.add_typer(keys.app, name="keys", rich_help_panel=SERVING)
app.command("inspect", rich_help_panel=SERVING)(inspect.inspect)
app.command("doctor", rich_help_panel=SERVING)(doctor.doctor)
app.command("version", rich_help_panel=SERVING)(version.print_version)
app.command("evaluate", rich_help_panel=TRAINING)(with_access(evaluate.evaluate))
app.command("compare", rich_help_panel=TRAINING)(with_access(compare.compare))
app.command("distill", rich_help_panel=TRAINING)(with_access(distill.distill))
app.command("import", rich_help_panel=TRAINING)(import_model.import_model)
for name, command in training.COMMANDS.items():
    app.command(name, rich_help_panel=TRAINING, add_help_option=False, context_settings=training.EVERYTHING)(
        command
    )
