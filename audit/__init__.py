"""The ledger: a C2SP tlog-tiles transparency log of everything that happened, its exports and its verification.

A module that says "Pure" has no database, file, clock, network or randomness in it; SQL is in
``inbox`` and the modules ``…store``.

Write, in the order of an entry's way
    ``entry`` its form, ``ordinary`` the quick way to read it, ``kinds`` what there is, ``canonical`` its bytes;
    ``inbox`` takes it in; ``sequencer`` gives it its place and gets the head signed, by ``signer`` with its memory
    (``heads``). SQL: ``tables``, ``batch_store`` to write, ``store`` to read, ``stored_hashes`` for proofs.
    ``service`` is what the hub asks.

Tree and formats
    ``tree`` Merkle tree and proofs, ``tiles`` its files, ``note`` checkpoints and keys, ``proof`` a proof in a file
    (``proof_check`` by whom it is trusted),
    ``sshsig`` the manifest's signature; ``cosignature`` what witnesses say, ``quorum`` whose word is enough,
    ``witness`` their judgement.

Keys
    ``keys`` on disk, ``mldsa`` where ``cryptography`` has it; ``succession`` statements by which keys change,
    ``key_history`` the way from an old key to today's; ``former_store`` logs that were closed.

Index and trails
    ``index`` what an index commits to, ``indexing`` when the log gets one, ``indexes`` its check in an export;
    ``trail_export`` writes the trail of one company or room, ``trail`` verifies it; ``index_store``. ``part_export`` is
    what it has in common with removal proofs.

Removal proofs
    ``removal`` judges whether a committee's vendor was put out, from the entries of two rooms (``removal_report`` is
    what is known then); ``removal_export`` writes the proof, ``removal_file`` verifies it; ``removal_lines`` and
    ``removal_page`` say what it shows.

Export
    ``bundle`` writes it; ``parts`` are the names of its files, and what may be wrong with them; ``archive`` is the one
    file in which it comes.

Verify, in the order of the checks
    ``verify`` has the order: ``key_history`` and ``note`` open the checkpoint; ``structure`` holds entries against
    tiles and root, ``stretch`` by ``stretch``; ``walk`` their meaning and numbers, ``indexes`` each index, ``digests``
    no digest twice; ``key_history`` again the log's own word on its keys; ``seen`` saved checkpoints; ``manifest`` who
    exported what, and every file, or ``closed``, that the root closed the log; ``disclosures``; ``timestamps``. Around
    it, on a machine: ``files``, ``offline`` and ``processes`` for large logs, ``standalone`` a program of its own,
    ``zipped`` in one file; ``printable`` for terminals.

Timestamps
    ``tsp`` request and answer, on ``cms`` and ``der``; ``tsa`` signature and certificates; ``timestamps`` those of an
    export, ``stamped`` what is said of them; ``timestamp_store``.
"""
