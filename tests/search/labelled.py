"""A small collection with judged queries, written for these tests: what an office knows, in two languages.

Passages come in pairs that are about the same thing, so that a query has to tell them apart; some queries share no
word with their passage, some hang on one rare word.
"""

PASSAGES = {
    "roll-back": (
        "To undo a release, pick the previous build on the deployments page and press Restore. Traffic "
        "moves back within a minute, and the faulty build is kept for inspection."
    ),
    "release": (
        "A new build goes out every Tuesday at ten. The person on duty watches error rates for half an "
        "hour before the rest of the fleet follows."
    ),
    "invoice-late": (
        "Bills that are not settled after thirty days get a friendly reminder; after sixty days the "
        "account is put on hold until the balance is cleared."
    ),
    "invoice-format": (
        "Invoices are sent as PDF on the first of the month. Ask finance if your customer wants an "
        "electronic format such as ZUGFeRD or Peppol."
    ),
    "parental": (
        "Mothers and fathers may take up to fourteen months off after a birth. Tell your manager three "
        "months before you want to leave."
    ),
    "holiday": (
        "Everyone has thirty days of paid holiday a year. Unused days move into the next year until the "
        "end of March and are lost afterwards."
    ),
    "laptop": (
        "If your computer is stolen, call the service desk at once so that the disk can be erased from "
        "afar, then file a report with the police."
    ),
    "printer": (
        "The printer on the second floor jams with thick paper. Use tray two, and leave the rear cover "
        "open for envelopes."
    ),
    "vpn": (
        "From outside the office connect with WireGuard before you open internal pages. The profile is "
        "in your password vault."
    ),
    "wifi": ("Guests use the network called Visitors; the code changes daily and hangs at the reception."),
    "fire": (
        "When the siren sounds, leave the building by the nearest stairs and gather in the car park. Do "
        "not use the lifts."
    ),
    "first-aid": (
        "Plasters and the defibrillator hang beside the kitchen door on every floor. Six colleagues are "
        "trained in first aid."
    ),
    "error-4711": (
        "Error E-4711 means that the conveyor's light barrier is dirty. Wipe the lens and press reset."
    ),
    "error-4712": (
        "Error E-4712 means that the conveyor's motor is too hot. Let it cool for twenty minutes."
    ),
    "cells": ("Mitochondria make most of the chemical energy that a cell needs, by oxidising sugars."),
    "ribosome": (
        "Ribosomes read messenger RNA and link amino acids in the order it gives, which makes proteins."
    ),
    "retry": ("The client calls fetch_page with max_retries=5 and waits twice as long after each failure."),
    "cache": ("Pages are kept in memory by an LRU of a thousand entries; clearCache() empties it."),
    "bees": ("A colony of honey bees has one queen, some hundred drones, and tens of thousands of workers."),
    "wasps": ("Paper wasps build their nest from chewed wood, under a roof or in a hollow tree."),
    "urlaub": (
        "Jede Mitarbeiterin und jeder Mitarbeiter hat dreißig Urlaubstage im Jahr. Resturlaub verfällt "
        "Ende März."
    ),
    "kuendigung": (
        "Ein Vertrag kann mit einer Frist von drei Monaten zum Quartalsende gekündigt werden, und zwar "
        "schriftlich."
    ),
}

QUERIES = {
    "how do I go back to the version before": "roll-back",
    "when are releases made": "release",
    "what happens to customers who do not pay": "invoice-late",
    "ZUGFeRD": "invoice-format",
    "leave after having a baby": "parental",
    "do vacation days expire": "holiday",
    "somebody took my notebook on the train": "laptop",
    "paper jam": "printer",
    "reach the intranet when working from home": "vpn",
    "internet access for visitors": "wifi",
    "what to do when there is an alarm": "fire",
    "where is the defibrillator": "first-aid",
    "E-4711": "error-4711",
    "what is error e4712": "error-4712",
    "which organelle is the powerhouse of the cell": "cells",
    "how is the genetic message translated into protein": "ribosome",
    "maxRetries": "retry",
    "fetchPage waits after failure": "retry",
    "clear_cache": "cache",
    "number of worker bees in a hive": "bees",
    "what are wasp nests made of": "wasps",
    "Wie viele Tage Urlaub habe ich?": "urlaub",
    "Verträge kündigen": "kuendigung",
}
