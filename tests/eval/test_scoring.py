from eval.run import token_disagreements


def test_token_disagreements_name_the_rows() -> None:
    ours = [{"id": "1", "ids_digest": "a"}, {"id": "2", "ids_digest": "b"}]
    theirs = [{"id": "1", "ids_digest": "a"}, {"id": "2", "ids_digest": "c"}]
    assert token_disagreements(ours, theirs) == ["2"]
    assert token_disagreements(ours, ours) == []
