# SPDX-License-Identifier: Apache-2.0
"""The bench orchestrator: starts the programs, runs the scenarios, checks the books, reports."""
