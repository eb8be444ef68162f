"""The commands of `polybot key` with their options; what they do is in ``polybot.cli.key``."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

keys = typer.Typer(
    help="Keep the private key encrypted. No command prints it.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
InKeyring = Annotated[
    bool, typer.Option("--keyring", help="Keep it in this system's keyring instead of a file.")
]


@keys.command("import", epilog="Example: polybot key import < key.txt")
def key_import(context: typer.Context, keyring: InKeyring = False, as_json: AsJson = False) -> None:
    """Encrypt a private key into the keystore and print its address.

    The key is asked for without echo, or read from standard input where that is a pipe: 64
    hexadecimal digits, with or without 0x. The passphrase is asked for twice, or taken from
    POLYBOT_KEY_PASSPHRASE or the file that live.passphrase_file names. Nothing is overwritten.
    """
    from polybot.cli.key import import_key

    import_key(context.obj, keyring=keyring, as_json=as_json)


@keys.command("new", epilog="Example: polybot key new")
def key_new(context: typer.Context, keyring: InKeyring = False, as_json: AsJson = False) -> None:
    """Make a new private key, encrypt it into the keystore and print its address only."""
    from polybot.cli.key import make_key

    make_key(context.obj, keyring=keyring, as_json=as_json)


@keys.command("show-address", epilog="Example: polybot key show-address --verify")
def key_show_address(
    context: typer.Context,
    verify: Annotated[
        bool, typer.Option("--verify", help="Decrypt the key instead of believing the file.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the address of the key that signs orders; its wallets go to standard error."""
    from polybot.cli.key import show_address

    show_address(context.obj, verify=verify, as_json=as_json)
