"""Realistic tables: the columns of each, and those that describe the topic of a row."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Table = tuple[Sequence[Row], set[str], set[str]]
"""Rows, the columns that must be selected, and those that may be."""

PEOPLE = ["Maria Gonzalez", "John Smith", "Wei Chen", "Anna Schmidt", "Olu Adeyemi", "Priya Patel", "Lars Olsen"]
CITIES = ["Berlin", "New York", "São Paulo", "Tokyo", "Paris"]
ISSUES = [
    "Card was declined at the shop",
    "I cannot reset my password",
    "The parcel never arrived",
    "Refund is missing",
    "App crashes when I open settings",
    "Wrong amount on my invoice",
    "How do I change my address?",
    "Login fails",
]
FÄLLE = [
    "Die Karte wurde im Laden abgelehnt",
    "Ich kann mein Passwort nicht zurücksetzen",
    "Das Paket kam nie an",
    "Die Rückerstattung fehlt",
    "Rechnung doppelt abgebucht",
    "Wie ändere ich meine Adresse?",
]
事 = [
    "银行卡在商店被拒绝了",
    "我无法重置密码怎么办",
    "包裹一直没有送到",
    "退款还没有到账",
    "发票金额不对",
    "如何更改地址",
]
PRODUCTS = [
    "Sony WH-1000XM5 Wireless Headphones Black",
    "Blue Cotton T-Shirt Large",
    "Stainless Steel Water Bottle 750 ml",
    "Gaming Mouse RGB 16000 DPI",
    "Leather Wallet Slim Brown",
    "Yoga Mat Non Slip 6mm",
]


def pick(values: Sequence[Any], i: int) -> Any:
    return values[(i * 7 + i // len(values)) % len(values)]


def body(i: int) -> str:
    return f"{pick(ISSUES, i)}. I tried it {i} times and it is still not working, please help me with order {i * 37}."


def tickets(i: int) -> Row:
    return {
        "ticket": f"T-{1000 + i}",
        "subject": f"{pick(ISSUES, i)} ({i})",
        "body": body(i),
        "priority": pick(["low", "high", "urgent"], i),
        "status": pick(["open", "closed"], i),
        "lang": "en",
        "customer": f"{pick(PEOPLE, i)} {i}",
        "email": f"p{i}@example.org",
        "created": f"2024-05-{i % 28 + 1:02d} 10:0{i % 10}:00",
        "agent": pick(PEOPLE, i + 3),
        "country": pick(["DE", "US", "FR"], i),
    }


def tickets_de(i: int) -> Row:
    return {
        "nr": i,
        "betreff": f"{pick(FÄLLE, i)} {i}",
        "nachricht": f"Guten Tag, {pick(FÄLLE, i)} seit {i} Tagen. Bitte um Hilfe, das ist ärgerlich.",
        "kunde": f"{pick(PEOPLE, i)}",
        "prio": pick(["niedrig", "mittel", "hoch"], i),
        "datum": f"{i % 28 + 1:02d}.05.2024",
    }


def tickets_zh(i: int) -> Row:
    return {
        "编号": f"ZH{i:05d}",
        "标题": f"{pick(事, i)}{i}",
        "内容": f"您好，{pick(事, i)}，已经第{i}天了，请尽快帮我处理这个问题，谢谢。",
        "姓名": pick(["王伟", "李娜", "张敏", "刘洋"], i) + str(i),
        "状态": pick(["处理中", "已解决"], i),
    }


def products(i: int) -> Row:
    return {
        "sku": f"SKU-{i:05d}",
        "name": f"{pick(PRODUCTS, i)} {i}",
        "brand": pick(["Sony", "Nike", "IKEA"], i),
        "color": pick(["red", "blue"], i),
        "description": f"This is the best {pick(PRODUCTS, i).lower()} for everyday use, with a warranty of {i} months.",
        "price": f"${i}.99",
        "url": f"https://shop.example/p/{i}",
        "category": pick(["Audio", "Clothing", "Home"], i),
        "currency": "USD",
    }


def products_without_prose(i: int) -> Row:
    return {
        "sku": f"A{i}",
        "title": f"{pick(PRODUCTS, i)} {i}",
        "brand": f"Brand{chr(65 + i % 26)}",
        "size": pick(["S", "M", "L"], i),
    }


def papers(i: int) -> Row:
    return {
        "doi": f"10.1000/j.{i}",
        "title": f"On the {pick(['stability', 'growth', 'colour'], i)} of graph number {i}",
        "abstract": f"We show that graph {i} is stable under small changes of its edges, and give a tight bound.",
        "authors": [pick(PEOPLE, i), pick(PEOPLE, i + 1), pick(PEOPLE, i + 2)],
        "venue": pick(["NeurIPS", "ICML"], i),
        "year": 2000 + i % 20,
    }


def traces(i: int) -> Row:
    return {
        "trace_id": f"{i * 2654435761:032x}",
        "span.name": pick(["llm.call", "tool.call"], i),
        "model": pick(["gpt-4o-mini", "claude"], i),
        "attributes": {
            "input": f"{pick(ISSUES, i)}, what can you do about it? This is request {i}.",
            "output": f"I am sorry to hear that. {pick(ISSUES, i + 1)}? Let me look into number {i} for you.",
        },
        "latency_ms": str(i * 3),
        "user_id": f"u{i}",
        "timestamp": f"2024-05-01T10:00:{i % 60:02d}Z",
    }


def jobs(i: int) -> Row:
    return {
        "job_title": f"{pick(['Senior', 'Junior', 'Lead'], i)} {pick(['Nurse', 'Engineer', 'Cook', 'Driver'], i)} {i}",
        "company": f"{pick(['Acme Corp', 'Globex Inc', 'Initech'], i)} {i}",
        "location": pick(CITIES, i),
        "salary": f"{i},000 EUR",
        "description": f"You will work with a small team of {i} people and take care of our customers in the city.",
        "skills": ["python", "sql", f"skill{i}"],
    }


def reviews(i: int) -> Row:
    return {
        "reviewer": f"{pick(PEOPLE, i)} {i}",
        "stars": str(i % 5 + 1),
        "review": f"I bought it {i} weeks ago and {pick(['love', 'hate'], i)} it, because it is what I wanted.",
        "product": pick(PRODUCTS, i),
        "date": f"May {i % 28 + 1}, 2024",
    }


def logs(i: int) -> Row:
    return {
        "ts": f"2024-05-01 10:00:{i % 60:02d},{i:03d}",
        "level": pick(["INFO", "WARN", "ERROR"], i),
        "host": f"web-{i % 4}",
        "pid": str(i),
        "message": f"{pick(['connection refused', 'disk almost full', 'user session expired'], i)} after {i} ms",
    }


def chat(i: int) -> Row:
    return {
        "from": pick(PEOPLE, i),
        "to": pick(PEOPLE, i + 1),
        "text": body(i),
        "channel": pick(["#general", "#help"], i),
        "emoji": "👍",
    }


def movies(i: int) -> Row:
    return {
        "title": f"The {pick(['Night', 'Return', 'King'], i)} {i}",
        "text": f"A young man in the city of {pick(CITIES, i)} finds out that he has {i} days to live.",
        "cast": [f"{pick(PEOPLE, i)} {i}", pick(PEOPLE, i + 1), pick(PEOPLE, i + 2), f"{pick(PEOPLE, i + 3)} Jr"],
        "lead": f"{pick(PEOPLE, i)} {i}",
        "genres": ["Drama", "Comedy"],
        "decade": "1990s",
        "lang": "English",
    }


def movies_without_plot(i: int) -> Row:
    return {key: value for key, value in movies(i).items() if key != "text"}


def news(i: int) -> Row:
    return {
        "headline": f"Minister of {pick(['Health', 'Trade'], i)} visits {pick(CITIES, i)} for talk {i}",
        "byline": f"By {pick(PEOPLE, i)}",
        "content": f"<p>The minister said that the talks about point {i} were <b>so</b> useful.</p><p>They go on.</p>",
        "link": f"https://news.example/{i}",
        "section": pick(["world", "sport"], i),
    }


def survey(i: int) -> Row:
    return {
        "respondent": f"R{i:04d}",
        "age": str(20 + i),
        "comment": f"I think that the service number {i} was {pick(['slow', 'fast'], i)} but the people were kind.",
    }


def questions(i: int) -> Row:
    return {"question": f"{pick(ISSUES, i)}? {i}", "intent": pick(["card", "login", "parcel"], i)}


def only_text(i: int) -> Row:
    return {"text": f"{pick(ISSUES, i)} {i}"}


def only_names(i: int) -> Row:
    return {"id": str(i), "person": f"{pick(PEOPLE, i)} {i}", "country": pick(["Germany", "France"], i)}


def only_categories(i: int) -> Row:
    return {"color": pick(["red", "blue", "green"], i), "size": pick(["small", "large"], i)}


def only_tags(i: int) -> Row:
    return {"tags": ["summer", "beach", f"trip{i}"], "status": pick(["open", "closed"], i)}


def only_data(i: int) -> Row:
    return {
        "id": f"{i}",
        "mail": f"a{i}@b.org",
        "when": f"2024-05-{i % 28 + 1:02d}",
        "url": f"http://x.org/{i}",
        "phone": f"+49 30 1234{i:03d}",
        "geo": f"52.{i:03d}, 13.{i:03d}",
        "amount": f"€{i}.50",
        "code": f"AB-{i}",
        "flag": "yes",
        "version": f"v1.{i}.0",
    }


def code(i: int) -> Row:
    return {
        "repo": f"org{i}/repo",
        "snippet": f"def f{i}(x):\n    return [y for y in x if y > {i}]",
        "docstring": f"Return the items of x that are larger than {i}, in their order.",
    }


def recipes(i: int) -> Row:
    return {
        "recipe": f"{pick(['Pasta', 'Soup', 'Cake'], i)} with {pick(['tomato', 'lemon', 'beans'], i)} no. {i}",
        "ingredients": ["flour", "salt", f"{i} eggs"],
        "steps": [
            f"Mix the flour with {i} eggs.",
            "Put it into the oven for an hour.",
            "Let it cool down before you cut it.",
        ],
        "cuisine": pick(["Italian", "Thai"], i),
    }


def mails(i: int) -> Row:
    return {
        "from": f"{pick(PEOPLE, i)} <p{i}@x.org>",
        "to": f"q{i}@y.org",
        "cc": "",
        "subject": f"Re: {pick(ISSUES, i)} {i}",
        "body": f"Hello,\n\n{body(i)}\n\nBest,\n{pick(PEOPLE, i)}",
        "message-id": f"<{i}.abc@x.org>",
        "date": "Mon, 06 May 2024 10:00:00 +0000",
    }


def companies(i: int) -> Row:
    return {
        "company": f"{pick(['Acme', 'Globex', 'Initech'], i)} {i} GmbH",
        "industry": pick(["Retail", "Energy"], i),
        "city": pick(CITIES, i),
        "about": f"We make {pick(['shoes', 'pumps', 'bread'], i)} for people who need them, since {1900 + i}.",
        "website": f"www.c{i}.com",
    }


def transcripts(i: int) -> Row:
    return {
        "call_id": f"c{i}",
        "speaker": pick(["agent", "caller"], i),
        "utterance": f"so I was calling about the {pick(['bill', 'router'], i)} number {i} you know",
        "start": f"00:0{i % 10}:11",
    }


def multilingual(i: int) -> Row:
    return {
        "message": pick([*ISSUES[:3], *FÄLLE[:3], *事[:2]], i) + f" {i}",
        "locale": pick(["en-US", "de-DE", "zh-CN"], i),
        "topic": pick(["a", "b"], i),
    }


def json_payload(i: int) -> Row:
    return {
        "payload": f'{{"id": {i}, "ok": true, "items": [1, {i}]}}',
        "note": f"The job number {i} was done by the night shift as planned.",
    }


def unnamed_columns(i: int) -> Row:
    return {
        "col_1": f"{pick(PEOPLE, i)} {i}",
        "col_2": body(i),
        "col_3": f"{pick(ISSUES, i)} {i}",
        "col_4": pick(["en", "de"], i),
        "col_5": pick(["High", "Low"], i),
    }


MAKERS: Mapping[str, tuple[Callable[[int], Row], set[str], set[str]]] = {
    "tickets": (tickets, {"subject", "body"}, set()),
    "tickets_de": (tickets_de, {"betreff", "nachricht"}, set()),
    "tickets_zh": (tickets_zh, {"标题", "内容"}, set()),
    "products": (products, {"name", "description"}, set()),
    "products_without_prose": (products_without_prose, {"title"}, set()),
    "papers": (papers, {"title", "abstract"}, set()),
    "traces": (traces, {"attributes.input", "attributes.output"}, set()),
    "jobs": (jobs, {"job_title", "description"}, set()),
    "reviews": (reviews, {"review"}, {"product"}),
    "logs": (logs, {"message"}, set()),
    "chat": (chat, {"text"}, set()),
    "movies": (movies, {"title", "text"}, set()),
    "movies_without_plot": (movies_without_plot, {"title"}, set()),
    "news": (news, {"headline", "content"}, set()),
    "survey": (survey, {"comment"}, set()),
    "questions": (questions, {"question"}, set()),
    "only_text": (only_text, {"text"}, set()),
    "only_names": (only_names, {"person"}, set()),
    "only_categories": (only_categories, {"color", "size"}, set()),
    "only_tags": (only_tags, {"tags"}, set()),
    "only_data": (only_data, set(), set()),
    "code": (code, {"docstring"}, {"snippet"}),
    "recipes": (recipes, {"recipe", "steps"}, set()),
    "mails": (mails, {"subject", "body"}, set()),
    "companies": (companies, {"about"}, set()),
    "transcripts": (transcripts, {"utterance"}, set()),
    "multilingual": (multilingual, {"message"}, set()),
    "json_payload": (json_payload, {"note"}, set()),
    "unnamed_columns": (unnamed_columns, {"col_2", "col_3"}, set()),
}


def table(name: str, rows: int) -> Table:
    make, needed, allowed = MAKERS[name]
    return [make(i) for i in range(rows)], needed, allowed
